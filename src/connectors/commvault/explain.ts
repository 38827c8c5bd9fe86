import type { Fault } from '../../core/connector.ts'

/**
 * What a reply means. Commvault says many failures with status 200, in one of five shapes (`errorCode`, `error`, `errList`,
 * `errors`, `response`); a code of 0 is success. Its own words are not repeated: they can name hosts and users.
 */
export function explain(status: number, body: unknown): string | Fault | undefined {
  // Nothing was done: a request without a valid token does not reach the API.
  if (status === 401) {
    return {
      type: 'upstream-denied',
      detail: 'Commvault does not accept the session. If it stays so, check the user or token and its rights.',
      sessionOver: true,
    }
  }
  if (status === 404) return 'Commvault does not have this address; check the setting apiPath.'
  const code = codeOf(body)
  if (isLoginReply(body) && code !== undefined) return { type: 'upstream-denied', detail: loginSentence(body) }
  if (code === undefined) return undefined
  if (code === accessDenied) {
    return { type: 'upstream-denied', detail: 'The Commvault account lacks a permission for this.' }
  }
  const sentence = `Commvault did not do this: error code ${code}.`
  return status < 300 ? { type: 'upstream-failed', detail: sentence } : sentence
}

const accessDenied = 5

type Json = Readonly<Record<string, unknown>>

/** The first error code that is not 0. */
function codeOf(body: unknown): number | undefined {
  if (!isRecord(body)) return undefined
  const inside = [body['error'], ...listOf(body['errList']), ...listOf(body['errors']), ...listOf(body['response'])]
  const own = Number(body['errorCode'] ?? 0)
  if (Number.isSafeInteger(own) && own !== 0) return own
  for (const part of inside) {
    const code = codeOf(part)
    if (code !== undefined) return code
  }
  return undefined
}

/** Only the answer to a login speaks of locked accounts. */
function isLoginReply(body: unknown): body is Json {
  return isRecord(body) && ('isAccountLocked' in body || 'remainingLockTime' in body)
}

function loginSentence(body: Json): string {
  const seconds = Number(body['remainingLockTime'] ?? 0)
  if (body['isAccountLocked'] !== true)
    return 'Commvault refused the user name or the password. Store the right ones; every further try counts against the account.'
  return seconds > 0
    ? `The Commvault account is locked for another ${Math.ceil(seconds / 60)} minutes.`
    : 'The Commvault account is locked. An administrator has to unlock it.'
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value.slice(0, 20) : []
}

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
