import { defineConnector } from '../../core/connector.ts'
import { actions } from './actions.ts'
import { authenticate } from './authenticate.ts'
import { check } from './check.ts'
import { explain } from './explain.ts'
import { Config, Credential } from './settings.ts'
import { sync } from './sync.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/ as far as OpenStack Swift's S3 middleware follows it. */
export const zadaraObject = defineConnector({
  id: 'zadara-object',
  title: 'Zadara Object Storage',
  subjects: ['storage'],
  config: Config,
  credential: Credential,
  authenticate,
  check,
  sync,
  explain,
  actions,
  tested: [
    'OpenStack Swift 2.30.1 with its S3 middleware, on which it is built',
    'the simulator in simulators/zadara-object',
  ],
})
