import { randomBytes, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { type Ca, makeCa } from './ca.ts'
import { type FaultPlan, makeFaults, type Reply, send } from './faults.ts'

export type { Reply } from './faults.ts'

export type SimRequest = {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** The body as it came, for what is no text. */
  readonly bytes: Buffer
  readonly remoteAddress: string
  /** The common name of the client's certificate, where one is asked for. */
  readonly clientName: string | undefined
  /** The kind of a planned fault that only this system knows. */
  readonly fault: string | undefined
}

/** What was received, for tests: never a header, so never a credential. */
export type LoggedRequest = {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly status: number
  readonly items?: number
}

export type ServerOptions = {
  readonly port?: number
  readonly ca?: Ca
  /** PEM: every client must show a certificate of this authority. */
  readonly clientCa?: string
  /** Added to the real time; `/__sim/clock?forward=<ms>` moves it on. */
  readonly clock?: { readonly now: () => Date; readonly forward: (ms: number) => void }
  readonly ownFaults?: readonly string[]
  readonly handle: (request: SimRequest) => Reply | Promise<Reply>
  /** Below `/__sim/`, for what the shared part does not know. Undefined: 404. */
  readonly admin?: (request: SimRequest) => Reply | Promise<Reply> | undefined
}

export type SimServer = Awaited<ReturnType<typeof startServer>>

const longestLog = 100_000
const largestBody = 16 * 1024 * 1024

/** A clock that runs with the real one and can be moved forward. */
export function movableClock() {
  let ahead = 0
  return {
    now: () => new Date(Date.now() + ahead),
    forward: (ms: number) => {
      ahead += ms
    },
  }
}

/**
 * An HTTPS server on loopback with a certificate of its own CA, planned faults, a log of requests, and `/__sim/*` for whoever
 * sends `x-sim-admin: <adminToken>`: GET|DELETE requests · GET|POST|DELETE faults · POST clock?forward=<ms>.
 */
export async function startServer(options: ServerOptions) {
  const { port = 0, ca = makeCa(), clock = movableClock(), ownFaults, clientCa, handle } = options
  const faults = makeFaults(ownFaults)
  const requests: LoggedRequest[] = []
  const adminToken = randomBytes(24).toString('base64url')
  const issued = ca.issue({ commonName: 'localhost', hosts: ['127.0.0.1', 'localhost', '::1'] })

  async function answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await received(message)
    response.setHeader('date', clock.now().toUTCString())
    if (request.path.startsWith('/__sim/')) {
      const allowed = sameText(String(message.headers['x-sim-admin'] ?? ''), adminToken)
      await send(
        response,
        allowed ? await administer(request) : json(403, { error: 'x-sim-admin is missing' }),
        undefined,
      )
      return
    }
    const fault = faults.take(request.path)
    const common =
      fault?.kind === 'status' || fault?.kind === 'html' || fault?.kind === 'drop' || fault?.kind === 'hang'
    const reply = common ? { status: 200 } : await handle({ ...request, fault: fault?.kind })
    const status = await send(response, reply, fault)
    if (requests.length >= longestLog) requests.shift()
    const { method, path, query } = request
    const items = reply.items
    requests.push({ method, path, query: query.toString(), status, ...(items !== undefined && { items }) })
  }

  async function administer(request: SimRequest): Promise<Reply> {
    const { method, path, query } = request
    if (path === '/__sim/requests') {
      return method === 'DELETE' ? json(200, { removed: requests.splice(0).length }) : json(200, requests)
    }
    if (path === '/__sim/faults') {
      const wrong = method === 'POST' ? faults.plan(planOf(query)) : undefined
      if (method === 'DELETE') faults.planned.splice(0)
      return wrong === undefined ? json(200, faults.planned) : json(400, { error: wrong })
    }
    if (path === '/__sim/clock') {
      if (method === 'POST') clock.forward(Number(query.get('forward') ?? 0))
      return json(200, { now: clock.now().toISOString() })
    }
    return (await options.admin?.(request)) ?? json(404, { error: 'no such switch' })
  }

  const ofClients = clientCa === undefined ? {} : { requestCert: true, rejectUnauthorized: true, ca: clientCa }
  const server = createServer({ cert: issued.certPem, key: issued.keyPem, ...ofClients }, (message, response) => {
    answer(message, response).catch((error: unknown) => {
      // A fault of the simulator must be seen by whoever runs it, not taken for the simulated system's.
      process.stderr.write(`simulator: ${error instanceof Error ? error.stack : String(error)}\n`)
      response.destroy()
    })
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    origin: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    caPem: ca.caPem,
    adminToken,
    requests,
    faults,
    clock,
    stop: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

export function json(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Reply {
  return { status, headers, body: JSON.stringify(value) }
}

/** `?kind=429&count=2&path=/api/dcim/&retryAfter=1&ms=&status=` */
function planOf(query: URLSearchParams): FaultPlan {
  const numbers = ['count', 'status', 'ms', 'retryAfter'].flatMap((name) => {
    const value = Number(query.get(name) ?? Number.NaN)
    return Number.isNaN(value) ? [] : [[name, value]]
  })
  const path = query.get('path')
  return { kind: query.get('kind') ?? '', ...Object.fromEntries(numbers), ...(path !== null && { path }) }
}

async function received(message: IncomingMessage): Promise<SimRequest> {
  const url = new URL(message.url ?? '/', 'https://simulator.invalid')
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > largestBody) throw new RangeError('request body too large')
    chunks.push(chunk)
  }
  const bytes = Buffer.concat(chunks)
  return {
    method: message.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    headers: message.headers,
    body: bytes.toString('utf8'),
    bytes,
    remoteAddress: message.socket.remoteAddress ?? '',
    clientName: clientNameOf(message.socket as TLSSocket),
    fault: undefined,
  }
}

function clientNameOf(socket: TLSSocket): string | undefined {
  const name = socket.getPeerCertificate().subject?.CN
  return Array.isArray(name) ? name[0] : name
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}
