import { defineConnector } from '../../core/connector.ts'
import { actions } from './actions.ts'
import { check } from './check.ts'
import { explain } from './explain.ts'
import { Config, Credential } from './settings.ts'
import { sync } from './sync.ts'

/** https://developer.atlassian.com/cloud/jira/platform/rest/v3/ and https://developer.atlassian.com/server/jira/platform/rest/ */
export const jira = defineConnector({
  id: 'jira',
  title: 'Jira',
  subjects: ['tickets'],
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
  webhook: { signature: { header: 'x-hub-signature', scheme: 'hmac-sha256', prefix: 'sha256=' } },
  actions,
  tested: ['the simulator in simulators/jira, Cloud and Data Center'],
})
