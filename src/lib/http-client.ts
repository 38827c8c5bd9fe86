import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'
import type { z } from 'zod'
import type { Exchange, Fault, Http, Outgoing, Query } from '../core/connector.ts'
import { Problem } from '../core/problem.ts'
import { originFault } from './http-address.ts'
import { type Health, makeBreaker, makeSlots } from './http-breaker.ts'
import { type ClientCertificate, makeConnector, PinMismatch, type ShownCertificate } from './http-connect.ts'
import {
  type Distrust,
  distrustOf,
  type Explain,
  faultProblem,
  faultSaid,
  isReset,
  parseBody,
  type Reply,
  readBody,
  readFailedBody,
  replyProblem,
  retryAfter,
} from './http-outcome.ts'
import { requestTarget } from './http-path.ts'

export type HttpLimits = {
  readonly connectMs: number
  readonly headersMs: number
  /** The longest silence inside a body. */
  readonly bodyMs: number
  /** One call with its retries and waits. */
  readonly callMs: number
  readonly responseBytes: number
  /** Attempts of one GET in all. */
  readonly tries: number
  /** The first wait between two tries; it doubles, with jitter. */
  readonly retryMs: number
  /** A `Retry-After` above this ends the call at once. */
  readonly retryAfterSeconds: number
  readonly concurrent: number
  readonly breakerFailures: number
  readonly breakerOpenMs: number
}

export const httpLimits: HttpLimits = {
  connectMs: 5_000,
  headersMs: 30_000,
  bodyMs: 60_000,
  callMs: 120_000,
  responseBytes: 32 * 1024 * 1024,
  tries: 3,
  retryMs: 250,
  retryAfterSeconds: 30,
  concurrent: 4,
  breakerFailures: 5,
  breakerOpenMs: 30_000,
}

export type HttpOptions = {
  /** The https origin, with an optional base path. */
  readonly url: string
  /** Trusted instead of the public authorities. */
  readonly caPem?: string
  /** Signs a request, asked before each, so that a rotated credential is used at once. */
  readonly sign: (request: Outgoing) => Promise<Signed>
  /** A TLS client certificate and its key, asked for before each new connection. */
  readonly clientCertificate?: () => Promise<ClientCertificate | undefined>
  /** SHA-256 in hex of the only certificate, or public key, that is talked to; else `upstream-untrusted`. */
  readonly pin?: string
  /** Told the system's certificate with each new connection. */
  readonly onCertificate?: (certificate: ShownCertificate) => void
  /** Told when a call ended because the system is not trusted; `shown` where a pin refused its certificate. */
  readonly onDistrust?: (reason: Distrust, shown?: ShownCertificate) => void
  readonly explain?: Explain
  readonly allowLoopback: boolean
  readonly userAgent: string
  readonly now: () => Date
  readonly limits?: Partial<HttpLimits>
}

export type Signed = {
  readonly headers: Readonly<Record<string, string>>
  /** Sent instead of the request's own. */
  readonly body?: string
  /** Told that the session behind the headers is over: the next `sign` opens another. */
  readonly over?: () => void
  /** Asked when the system refused the credential: whether another is to be used by now, so that one more try may help. */
  readonly refused?: () => Promise<boolean>
}

/** One call's part: what ends it, and the id that the connected system can log. */
export type HttpCall = {
  readonly signal?: AbortSignal
  readonly requestId?: string
  /** For signing in: nothing is signed, and the answer's cookies are shown. */
  readonly unsigned?: true
}

export type HttpClient = {
  /** The connection's HTTP for one call. All calls share the sockets, the slots and the circuit breaker. */
  readonly forCall: (call?: HttpCall) => Http
  readonly close: () => Promise<void>
}

/** HTTP to one https origin with the rules of the connector contract; throws `invalid-input` for an address it never uses. */
export function makeHttp(options: HttpOptions): HttpClient {
  const { url, caPem, clientCertificate, pin, onCertificate, allowLoopback } = options
  const fault = originFault(url, { allowLoopback })
  if (fault !== undefined) throw new Problem('invalid-input', `The address ${fault}`)
  const limits = { ...httpLimits, ...options.limits }
  const { origin, pathname } = new URL(url)
  // A Pool of its own: no proxy from the environment, no other origin, no redirects.
  const pool = new Pool(origin, {
    connect: makeConnector({
      rule: { allowLoopback },
      timeoutMs: limits.connectMs,
      ...(caPem !== undefined && { caPem }),
      ...(clientCertificate && { clientCertificate }),
      ...(pin !== undefined && { pin }),
      ...(onCertificate && { onCertificate }),
    }),
    allowH2: false,
    connections: limits.concurrent,
    pipelining: 1,
    headersTimeout: limits.headersMs,
    bodyTimeout: limits.bodyMs,
  })
  const wire: Wire = {
    options,
    limits,
    origin,
    basePath: pathname.replace(/\/+$/, ''),
    pool,
    slots: makeSlots(limits.concurrent),
    breaker: makeBreaker({ failures: limits.breakerFailures, openMs: limits.breakerOpenMs }, options.now),
  }
  return {
    forCall: (call = {}) => makeCallHttp(wire, call),
    close: () => pool.destroy(),
  }
}

type Wire = {
  readonly options: HttpOptions
  readonly limits: HttpLimits
  readonly origin: string
  readonly basePath: string
  readonly pool: Pool
  readonly slots: ReturnType<typeof makeSlots>
  readonly breaker: ReturnType<typeof makeBreaker>
}

type Ask = {
  readonly method: Exchange['method']
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  readonly isSafe: boolean
  readonly as: Exchange['as']
}

function makeCallHttp(wire: Wire, call: HttpCall): Http {
  async function exchange<T>(given: Exchange, schema: z.ZodType<T>) {
    const { reply, value } = await guarded(wire, call, askOf(wire, given))
    return { status: reply.status, body: parseBody(value, schema), headers: reply.headers }
  }
  const got = <T>(path: string, schema: z.ZodType<T>, query?: Query) =>
    exchange({ method: 'GET', path, ...(query && { query }) }, schema)
  return {
    exchange,
    read: got,
    get: async (path, schema, query) => (await got(path, schema, query)).body,
    send: async (method, path, schema, body, more = {}) =>
      (await exchange({ method, path, ...more, ...(body !== undefined && { body }) }, schema)).body,
  }
}

function askOf({ basePath }: Wire, { method, path, query, headers, body, safe, as }: Exchange): Ask {
  const isPlain = body === undefined || typeof body === 'string' || body instanceof Uint8Array
  return {
    method,
    target: requestTarget(basePath, path, query),
    headers: { ...(!isPlain && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: isPlain ? (body as string | Uint8Array) : JSON.stringify(body) }),
    isSafe: safe ?? (method === 'GET' || method === 'HEAD'),
    as,
  }
}

/** One call inside its time, its slot and the circuit breaker. Answers a 2xx and its body, or throws a Problem. */
async function guarded(wire: Wire, call: HttpCall, ask: Ask): Promise<{ reply: Reply; value: unknown }> {
  const timeout = AbortSignal.timeout(wire.limits.callMs)
  const signal = call.signal ? AbortSignal.any([call.signal, timeout]) : timeout
  let leaveSlot: (() => void) | undefined
  let leaveBreaker: ((health: Health) => void) | undefined
  try {
    // Signing in happens inside another call, which has a slot already; a second one could wait for itself.
    if (!call.unsigned) leaveSlot = await wire.slots(signal)
    leaveBreaker = wire.breaker.enter()
    const { reply, value, said } = await withRetries(wire, ask, call, signal)
    leaveBreaker(replyHealth(reply.status))
    const now = wire.options.now()
    if (reply.status >= 300) throw replyProblem(reply, said, now)
    if (typeof said === 'object') throw faultSaid(reply, said, now)
    return { reply, value }
  } catch (error) {
    const problem = outcome(error, call, timeout)
    if (problem instanceof Problem && problem.type === 'upstream-untrusted') tellDistrust(wire, problem.cause)
    leaveBreaker?.(faultHealth(problem))
    throw problem
  } finally {
    leaveSlot?.()
  }
}

function tellDistrust({ options }: Wire, fault: unknown): void {
  const reason = distrustOf(fault)
  if (reason) options.onDistrust?.(reason, fault instanceof PinMismatch ? fault.shown : undefined)
}

function outcome(error: unknown, call: HttpCall, timeout: AbortSignal): unknown {
  if (error instanceof Problem) return error
  if (call.signal?.aborted) return new Problem('cancelled', undefined, { cause: error })
  if (timeout.aborted)
    return new Problem('upstream-timeout', 'The connected system took too long to answer', { cause: error })
  return faultProblem(error)
}

/** Being asked to slow down says nothing about health; a refusal says that the system is there. */
function replyHealth(status: number): Health {
  if (status === 429) return 'neutral'
  return status >= 500 ? 'failed' : 'alive'
}

function faultHealth(problem: unknown): Health {
  const failures = ['upstream-unreachable', 'upstream-timeout', 'upstream-untrusted', 'upstream-invalid']
  return problem instanceof Problem && failures.includes(problem.type) ? 'failed' : 'neutral'
}

const worthRetrying = new Set([429, 502, 503, 504])

type Answer = { readonly reply: Reply; readonly value: unknown; readonly said: string | Fault | undefined }

/** The first useful reply, or the last one; faults below HTTP fly unless the connection broke under a request that may be repeated. */
async function withRetries(wire: Wire, ask: Ask, call: HttpCall, signal: AbortSignal): Promise<Answer> {
  const { tries, retryMs, retryAfterSeconds } = wire.limits
  let [isRenewed, isReplaced] = [false, false]
  for (let left = ask.isSafe ? tries : 1; ; left--) {
    let waitMs = retryMs * 2 ** (tries - left) * (0.5 + randomInt(1000) / 1000)
    try {
      const { answer, over, refused } = await exchange(wire, ask, call, signal)
      if (over && !isRenewed && typeof answer.said === 'object' && answer.said.sessionOver) {
        isRenewed = true
        over()
        left++
        continue
      }
      // A refused request had no effect, so it may be sent again, once.
      if (refused && !isReplaced && isDenied(answer)) {
        isReplaced = true
        if (await refused()) {
          left++
          continue
        }
      }
      const { headers, status } = answer.reply
      const asked = retryAfter(headers, wire.options.now()) ?? 0
      if (left <= 1 || !worthRetrying.has(status) || asked > retryAfterSeconds) return answer
      waitMs = Math.max(waitMs, asked * 1000)
    } catch (error) {
      if (left <= 1 || signal.aborted || !isReset(error)) throw error
    }
    await sleep(waitMs, undefined, { signal })
  }
}

/** Whether the system refuses who asks; a connector can read that in a good answer as well. */
function isDenied({ reply, said }: Answer): boolean {
  return typeof said === 'object' ? said.type === 'upstream-denied' : reply.status === 401 || reply.status === 403
}

/** One request, and for a GET at most one redirect that stays on the origin and below the base path. */
async function exchange(wire: Wire, ask: Ask, call: HttpCall, signal: AbortSignal) {
  let signed = await signedRequest(wire, ask, call)
  let reply = await once(wire, signed.ask, signal, call)
  if (reply.status >= 300 && reply.status < 400) {
    signed = await signedRequest(wire, { ...ask, target: redirectTarget(wire, ask, reply) }, call)
    reply = await once(wire, signed.ask, signal, call)
    if (reply.status >= 300 && reply.status < 400)
      throw new Problem('upstream-invalid', 'The connected system redirected more than once')
  }
  const isGood = reply.status < 300
  const value = isGood && ask.method !== 'HEAD' ? readBody(reply, ask.as) : undefined
  const said = sayOf(wire, reply.status, isGood ? value : readFailedBody(reply), signed.headers)
  return { answer: { reply, value, said }, over: signed.over, refused: signed.refused }
}

async function signedRequest(wire: Wire, ask: Ask, call: HttpCall) {
  const bare = requestHeaders(wire, ask, call, {})
  const request: Outgoing = {
    method: ask.method,
    target: ask.target,
    host: new URL(wire.origin).host,
    headers: bare,
    body: ask.body,
    now: wire.options.now(),
  }
  const signed: Signed = call.unsigned ? { headers: {} } : await wire.options.sign(request)
  const headers = requestHeaders(wire, ask, call, signed.headers)
  return { ...signed, ask: { ...ask, headers, ...(signed.body !== undefined && { body: signed.body }) } }
}

function redirectTarget({ origin, basePath }: Wire, { method, target }: Ask, { headers }: Reply): string {
  const location = headers['location']
  if (location !== undefined && method === 'GET' && URL.canParse(location, origin + target)) {
    const to = new URL(location, origin + target)
    const isInside = to.pathname === basePath || to.pathname.startsWith(`${basePath}/`)
    // An encoded dot segment could lead out of the base path on the system's side.
    const isLevel = !/%2f|%5c|%2e/i.test(to.pathname)
    if (to.origin === origin && to.username === '' && isInside && isLevel) return `${to.pathname}${to.search}`
  }
  throw new Problem('upstream-invalid', 'The connected system redirected to a place that is not followed')
}

async function once(wire: Wire, ask: Ask, signal: AbortSignal, { unsigned }: HttpCall): Promise<Reply> {
  const { statusCode, headers, body } = await wire.pool.request({
    path: ask.target,
    method: ask.method,
    headers: ask.headers,
    signal,
    ...(ask.body !== undefined && { body: ask.body }),
  })
  // Destroying an unread body emits an error that nobody else listens to.
  body.on('error', () => {})
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > wire.limits.responseBytes)
      throw new Problem('upstream-invalid', 'The connected system sent more than the size limit')
    chunks.push(chunk)
  }
  const cookies = headers['set-cookie']
  const shown = {
    ...plainHeaders(headers),
    ...(unsigned && cookies && { 'set-cookie': [cookies].flat().join('\n') }),
  }
  return { status: statusCode, headers: shown, text: Buffer.concat(chunks, size).toString('utf8') }
}

function requestHeaders({ options }: Wire, ask: Ask, call: HttpCall, signedIn: Readonly<Record<string, string>>) {
  const headers = new Map<string, string>()
  const accept = ask.as === 'text' ? '*/*' : ask.as === 'xml' ? 'text/xml, application/xml' : 'application/json'
  const own = {
    'accept-encoding': 'identity',
    'user-agent': options.userAgent,
    ...(call.requestId !== undefined && { 'x-request-id': call.requestId }),
  }
  for (const part of [{ accept }, ask.headers, own, signedIn])
    for (const [name, value] of Object.entries(part)) {
      if (/[^\t\x20-\x7e]/.test(value))
        throw new Problem('upstream-denied', 'The credential has characters that cannot be sent in a request header')
      headers.set(name.toLowerCase(), value)
    }
  for (const name of ['host', 'content-length', 'transfer-encoding', 'connection']) headers.delete(name)
  return Object.fromEntries(headers)
}

/** What the connector says of a reply: one line, and dropped when it repeats the host or a signing-in header. */
function sayOf(
  { options, origin }: Wire,
  status: number,
  body: unknown,
  signedIn: Readonly<Record<string, string>>,
): string | Fault | undefined {
  if (body === undefined || body === null) return undefined
  const hidden = [new URL(origin).hostname, ...Object.values(signedIn).flatMap((value) => [value, ...value.split(' ')])]
  const line = (text: string | undefined): string | undefined => {
    const sentence = text?.replaceAll(/\s+|\p{Cc}/gu, ' ').trim()
    const leaks = hidden.some((part) => part.length >= 5 && sentence?.includes(part))
    return leaks || sentence === '' ? undefined : sentence?.slice(0, 300)
  }
  const said = options.explain?.(status, body)
  if (typeof said !== 'object') return line(said)
  const { detail, ...rest } = said
  const shown = line(detail)
  return { ...rest, ...(shown !== undefined && { detail: shown }) }
}

function plainHeaders(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const plain: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && name !== 'set-cookie') plain[name] = Array.isArray(value) ? value.join(', ') : value
  return plain
}
