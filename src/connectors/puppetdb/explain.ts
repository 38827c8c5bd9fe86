import type { Fault } from '../../core/connector.ts'

/** What a failed reply of PuppetDB means, in our words: its own are plain text that repeats the query and names of hosts. */
export function explain(status: number, body: unknown): string | Fault | undefined {
  if (status === 401) {
    const detail = 'PuppetDB does not take the token: it is wrong, revoked or expired. Renew it.'
    return { type: 'upstream-denied', detail }
  }
  if (status === 403) {
    const detail =
      'PuppetDB does not let this client read. Add the name of its certificate to the certificate allowlist, or give the token the right nodes:view_data.'
    return { type: 'upstream-denied', detail }
  }
  if (status === 400 && typeof body === 'string')
    return 'PuppetDB does not understand the query; its version may be too old.'
  if (status === 404) return 'PuppetDB has no such thing. The address may lead to another service.'
  if (status === 406) return 'PuppetDB was not asked for JSON: a proxy may change the Accept header.'
  return status === 500 ? 'PuppetDB failed inside; its log has the reason.' : undefined
}
