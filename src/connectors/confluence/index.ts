import { defineConnector } from '../../core/connector.ts'
import { actions } from './actions.ts'
import { check } from './check.ts'
import { explain } from './explain.ts'
import { Config, Credential } from './settings.ts'
import { sync } from './sync.ts'

/** https://developer.atlassian.com/cloud/confluence/ and https://developer.atlassian.com/server/confluence/ */
export const confluence = defineConnector({
  id: 'confluence',
  title: 'Confluence',
  subjects: ['documentation'],
  config: Config,
  credential: Credential,
  authenticate: ({ email, apiToken, personalAccessToken }) => ({
    authorization: personalAccessToken
      ? `Bearer ${personalAccessToken.reveal()}`
      : `Basic ${Buffer.from(`${email?.reveal()}:${apiToken?.reveal()}`).toString('base64')}`,
  }),
  check,
  sync,
  explain,
  // Data Center only; Cloud has no webhooks that an administrator could set up.
  webhook: { signature: { header: 'x-hub-signature', scheme: 'hmac-sha256', prefix: 'sha256=' } },
  actions,
  tested: ['the simulator in simulators/confluence, Cloud and Data Center'],
})
