import type { Fault } from '../../core/connector.ts'
import type { ProblemType } from '../../core/problem.ts'

/**
 * The VPSA answers most failures with HTTP 200 and a status that is not 0. Its sentence comes under one of three keys, or in
 * `errors`, inside `response` or beside it.
 */
export function explain(httpStatus: number, body: unknown): string | Fault | undefined {
  const outer = isRecord(body) ? body : {}
  const response = isRecord(outer['response']) ? outer['response'] : undefined
  const failure = response ? failureOf(response) : bareFailureOf(outer)
  if (failure) return faultOf(failure, httpStatus)
  if (httpStatus === 401) return { type: 'upstream-denied', detail: refused }
  return undefined
}

const refused =
  "The VPSA refused the access key. Take the key of the connection's user from the VPSA (it changes when it is reset) and set it here."

type Failure = { readonly code: number | undefined; readonly text: string }

function failureOf(response: Record<string, unknown>): Failure | undefined {
  const errors = Array.isArray(response['errors']) ? response['errors'] : []
  if (errors.length === 0 && isDone(response['status'])) return undefined
  const [first] = errors
  return { code: codeOf(response['status']), text: messageOf(response) || messageOf(isRecord(first) ? first : {}) }
}

/** Without the envelope: `{"status-msg":"…"}` or `{"status":"error","message":"…"}`. */
function bareFailureOf(outer: Record<string, unknown>): Failure | undefined {
  const text = messageOf(outer)
  if (text === '' || outer['status'] === 'success') return undefined
  return { code: codeOf(outer['status']), text }
}

function isDone(status: unknown): boolean {
  return status === undefined || status === 'success' || codeOf(status) === 0
}

function codeOf(status: unknown): number | undefined {
  const code = typeof status === 'string' && /^\d{1,10}$/.test(status) ? Number(status) : status
  return typeof code === 'number' ? code : undefined
}

function messageOf(from: Record<string, unknown>): string {
  const found = ['message', 'status-msg', 'status_msg'].map((key) => from[key]).find((one) => typeof one === 'string')
  return typeof found === 'string' ? found : ''
}

/** Codes that clients in the field know: 5 credentials, 10081 no such volume, 10086 no such server. Others are told by their words. */
function faultOf({ code, text }: Failure, httpStatus: number): Fault {
  if (code === 5 || httpStatus === 401) return { type: 'upstream-denied', detail: refused }
  const words = sayingOf(text)
  const shown = `The VPSA says${code === undefined ? '' : ` (status ${code})`}: ${words}`
  const type = code === 10081 || code === 10086 ? 'not-found' : typeOf(text)
  return { type, detail: type === 'upstream-denied' ? `${shown} The access key's user lacks a role for this.` : shown }
}

function typeOf(text: string): ProblemType {
  if (/permission|not authori[sz]ed|not permitted|unauthori[sz]ed|forbidden/i.test(text)) return 'upstream-denied'
  if (/not found|does not exist|no such/i.test(text)) return 'not-found'
  if (/already exists|in use|attached|busy|already been taken/i.test(text)) return 'conflict'
  return 'upstream-failed'
}

/**
 * The VPSA's words as far as they are plain: letters, small numbers and its own ids. Anything else could be a host, an address
 * or a secret and becomes a dash; a sentence about secrets is not repeated at all.
 */
function sayingOf(text: string): string {
  if (text === '') return 'no reason.'
  if (/secret|passw|passphrase|chap|credential|token|\bkey\b/i.test(text)) return 'something about a credential.'
  const words = text
    .slice(0, 1000)
    .split(/\s+/)
    .filter((word) => word !== '')
    .map((word) => (isPlain(word) ? word : '-'))
  return words.join(' ').slice(0, 200)
}

function isPlain(word: string): boolean {
  return (
    /^["'(]?[A-Za-z]{1,20}(?:['-][A-Za-z]{1,20})?[)"']?[.,:;!?]?$/.test(word) ||
    /^\d{1,6}(?:GB|MB|TB|G)?[.,]?$/.test(word) ||
    /^(?:volume|pool|srv|snap|cg)-[0-9a-f]{1,16}[.,]?$/.test(word)
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
