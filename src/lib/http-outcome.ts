import type { z } from 'zod'
import type { Exchange, Fault } from '../core/connector.ts'
import { Problem, type ProblemType } from '../core/problem.ts'
import { AddressRefused, PinMismatch } from './http-connect.ts'
import { parseXml, XmlFault } from './xml.ts'

/** A response as read from the wire: the body is complete and below the size cap. */
export type Reply = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}

/** What a connector says of a reply; its `explain`, guarded so that no word of it gives away the host or the credential. */
export type Explain = (status: number, body: unknown) => string | Fault | undefined

/** The body of a good reply as the connector asked for it; an empty JSON body is `null`. @throws Problem upstream-invalid */
export function readBody(reply: Reply, as: Exchange['as'] = 'json'): unknown {
  if (as === 'text') return reply.text
  if (as === 'xml') return readXml(reply.text)
  return reply.text === '' ? null : parseJson(reply)
}

/** The value as `schema` wants it, or `upstream-invalid`. */
export function parseBody<T>(value: unknown, schema: z.ZodType<T>): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw new Problem(
    'upstream-invalid',
    `The connected system sent a body that is not its documented API${issue ? ` (${pointer(issue.path)}: ${issue.code})` : ''}`,
  )
}

/** A failed reply's body for `explain`: JSON, XML, or else the beginning of its text. */
export function readFailedBody({ text }: Reply): unknown {
  if (text === '') return ''
  try {
    if (/^\s*<\?xml|^\s*<[\w:-]+[\s>]/.test(text) && !/^\s*<(!doctype|html)/i.test(text)) return parseXml(text)
    return JSON.parse(text)
  } catch {
    return text.slice(0, 4096)
  }
}

/** The problem that a status of 400 and above stands for (SECURITY.md and CONNECTORS.md §0.7 name the shapes behind it). */
export function replyProblem(reply: Reply, said: string | Fault | undefined, now: Date): Problem {
  if (typeof said === 'object') return faultSaid(reply, said, now)
  const type = problemTypes[reply.status] ?? 'upstream-failed'
  return withWait(reply, type, `The connected system answered ${reply.status}${said ? `: ${said}` : ''}`, now)
}

/** The problem that the connector reads in a reply, whatever its status. */
export function faultSaid(reply: Reply, { type, detail }: Fault, now: Date): Problem {
  return withWait(reply, type, detail, now)
}

function withWait({ headers }: Reply, type: ProblemType, detail: string | undefined, now: Date): Problem {
  const retryAfterSeconds = type === 'upstream-busy' ? retryAfter(headers, now) : undefined
  return new Problem(type, detail, { ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) })
}

const problemTypes: Readonly<Record<number, ProblemType>> = {
  401: 'upstream-denied',
  403: 'upstream-denied',
  404: 'not-found',
  409: 'conflict',
  412: 'precondition-failed',
  429: 'upstream-busy',
  503: 'upstream-busy',
}

/** `Retry-After` in whole seconds, from seconds or an HTTP date (RFC 9110 §10.2.3); at most an hour. */
export function retryAfter(headers: Readonly<Record<string, string>>, now: Date): number | undefined {
  const text = headers['retry-after']?.trim()
  if (text === undefined || text === '') return undefined
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : Math.ceil((Date.parse(text) - now.getTime()) / 1000)
  return Number.isNaN(seconds) ? undefined : Math.min(Math.max(seconds, 0), 3600)
}

/** What a fault below HTTP means. Anything unknown is a bug and flies on. */
export function faultProblem(error: unknown): unknown {
  const kind = faultOf(error)
  return kind ? new Problem(kind.type, kind.detail, { cause: error }) : error
}

/** Whether the connection broke under the request, so that asking again may help. */
export function isReset(error: unknown): boolean {
  return resets.has(codeOf(error))
}

const resets = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'HPE_INVALID_EOF_STATE'])
const timeouts = new Set(['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'ETIMEDOUT'])
const unknownIssuer = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
])
const unreachable: Readonly<Record<string, string>> = {
  ENOTFOUND: 'The host name of the connected system does not resolve',
  EAI_AGAIN: 'The host name of the connected system does not resolve at the moment',
  ENODATA: 'The host name of the connected system does not resolve',
  ECONNREFUSED: 'The connected system refused the network connection',
  EHOSTUNREACH: 'There is no network route to the connected system',
  ENETUNREACH: 'There is no network route to the connected system',
  EADDRNOTAVAIL: 'There is no network route to the connected system',
}

/** Why a system is not talked to, in words for programs and in sentences for people. */
const distrusts = {
  'unknown-authority': 'The certificate was issued by an authority that this connection does not trust',
  'other-host': 'The certificate is for another host name',
  expired: 'The certificate has expired',
  'not-yet-valid': 'The certificate is not valid yet',
  unfit: 'The certificate cannot be used for this',
  'other-pin': 'The certificate is not the one that this connection is pinned to',
  'no-tls': 'No TLS connection could be agreed (TLS 1.2 or newer is needed)',
}

export type Distrust = keyof typeof distrusts
export const distrustReasons = Object.keys(distrusts) as [Distrust, ...Distrust[]]

/** Why a fault below HTTP means that the system is not trusted; undefined for every other fault. */
export function distrustOf(error: unknown): Distrust | undefined {
  if (error instanceof PinMismatch) return 'other-pin'
  const code = codeOf(error)
  if (unknownIssuer.has(code)) return 'unknown-authority'
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'other-host'
  if (code === 'CERT_HAS_EXPIRED') return 'expired'
  if (code === 'CERT_NOT_YET_VALID') return 'not-yet-valid'
  if (/^CERT_|^INVALID_(CA|PURPOSE)|PATH_LENGTH/.test(code)) return 'unfit'
  return /^ERR_SSL_|^EPROTO$/.test(code) ? 'no-tls' : undefined
}

function faultOf(error: unknown): { type: ProblemType; detail: string } | undefined {
  const code = codeOf(error)
  if (error instanceof AddressRefused)
    return {
      type: 'upstream-unreachable',
      detail: 'The address of the connected system is one that Atlas never connects to (docs/operate/connections.md)',
    }
  const distrust = distrustOf(error)
  if (distrust) return { type: 'upstream-untrusted', detail: distrusts[distrust] }
  if (timeouts.has(code)) return { type: 'upstream-timeout', detail: 'The connected system took too long to answer' }
  if (resets.has(code))
    return { type: 'upstream-unreachable', detail: 'The connected system broke the network connection' }
  if (/^HPE_|^UND_ERR_(HEADERS_OVERFLOW|RES_)/.test(code))
    return { type: 'upstream-invalid', detail: 'The connected system sent something that is not HTTP' }
  const detail = unreachable[code]
  return detail === undefined ? undefined : { type: 'upstream-unreachable', detail }
}

/** The code of a network fault; several addresses tried at once give an AggregateError of the same kind. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  const { code, errors } = error as { code?: unknown; errors?: unknown }
  if (typeof code === 'string') return code
  return Array.isArray(errors) && errors.length > 0 ? codeOf(errors[0]) : codeOf(error.cause)
}

function parseJson({ text, headers }: Reply): unknown {
  try {
    return JSON.parse(text)
  } catch {
    const isHtml = /html/.test(headers['content-type'] ?? '') || /^\s*<(!doctype|html)/i.test(text)
    throw new Problem(
      'upstream-invalid',
      `The connected system sent ${isHtml ? 'html instead of JSON' : 'a body that is not valid JSON'}`,
    )
  }
}

function readXml(text: string): unknown {
  try {
    return parseXml(text)
  } catch (error) {
    if (!(error instanceof XmlFault)) throw error
    throw new Problem('upstream-invalid', 'The connected system sent a body that is not valid XML', { cause: error })
  }
}

/** Where in the body, without the body's own words: only short, plain member names are shown. */
function pointer(path: readonly PropertyKey[]): string {
  return `/${path.map((part) => (/^[A-Za-z0-9_-]{1,40}$/.test(String(part)) ? String(part) : '*')).join('/')}`
}
