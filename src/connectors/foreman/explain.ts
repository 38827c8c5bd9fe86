import type { Fault } from '../../core/connector.ts'

/**
 * What a failed reply of Foreman means, in our words: its own name the login, fields' values and sometimes hosts.
 * Shapes: `{error: {message, details, missing_permissions}}` and, for 422, `{error: {errors: {field: [..]}, full_messages}}`.
 */
export function explain(status: number, body: unknown): string | Fault | undefined {
  if (status < 400) return undefined
  const error = errorOf(body)
  const message = typeof error?.['message'] === 'string' ? error['message'] : ''
  if (status === 401) return { type: 'upstream-denied', detail: refusal(message) }
  if (status === 403) return forbidden(error)
  if (!error) return undefined
  if (status === 422) return { type: 'conflict', detail: unprocessable(error) }
  if (status === 404) return 'Foreman has no such thing, or the account may not see it.'
  if (status === 415) return 'Foreman takes JSON only: a proxy may have changed the content type.'
  if (status === 400 && /not recognized for searching|not valid field for search/.test(message)) {
    return 'Foreman cannot search by a field that Atlas needs. Foreman 2.4 or later is needed.'
  }
  return status >= 500 && status !== 503 ? 'Foreman failed inside; its log has the reason.' : undefined
}

function refusal(message: string): string {
  if (/^Too many tries/.test(message)) {
    return 'Foreman blocks this server for some minutes after too many failed sign-ins. Correct the credential, then wait.'
  }
  if (/disabled/.test(message)) return 'The Foreman user is disabled.'
  return 'Foreman does not know this login and token, or the token is revoked or expired. Renew the credential.'
}

function forbidden(error: Record<string, unknown> | undefined): Fault {
  const names = list(error?.['missing_permissions']).filter((name) => /^[a-z_]{1,60}$/.test(name))
  const lacks = names.length > 0 ? `one of these permissions: ${names.slice(0, 5).join(', ')}` : 'a permission for this'
  return { type: 'upstream-denied', detail: `The Foreman user lacks ${lacks}. Add it to the user's role.` }
}

/** The names of the fields, never what is said of them: that repeats their values. */
function unprocessable(error: Record<string, unknown>): string {
  const fields = Object.keys(isRecord(error['errors']) ? error['errors'] : {}).filter((name) =>
    /^[\w.]{1,60}$/.test(name),
  )
  const where = fields.length > 0 ? ` (${fields.slice(0, 5).join(', ')})` : ''
  return `Foreman does not save the host because it has values that are not valid${where}. Correct them in Foreman first.`
}

function errorOf(body: unknown): Record<string, unknown> | undefined {
  return isRecord(body) && isRecord(body['error']) ? body['error'] : undefined
}

function list(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
