import type { IncomingMessage } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Problem } from '../../core/problem.ts'
import { headerValues } from './bearer.ts'
import { securityHeaders, strictTransport } from './headers.ts'
import type { HttpDoorConfig } from './parts.ts'

/**
 * Refuses what no route should see, on every path, known or not: a foreign `Host` (DNS rebinding), a foreign `Origin`,
 * a cross-site write, a token in a URL. Answers CORS preflights. Nothing here decides who may do what.
 */
export function makeGuard(config: HttpDoorConfig) {
  const named = new Set([...(config.allowedHosts ?? []), ...publicHost(config)].map((host) => host.toLowerCase()))
  const origins = new Set([...(config.corsOrigins ?? []), ...publicOrigin(config)])

  return async function guard(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
    protect(request, reply)
    refusePlainHttp(request)
    checkHost(request, named)
    refuseTokenInUrl(request.raw.url ?? '')
    const origin = checkOrigin(request, origins)
    if (origin !== undefined && config.corsOrigins?.includes(origin)) allowOrigin(reply, origin)
    refuseCrossSite(request, origin)
    const asked = request.headers['access-control-request-method']
    if (request.method !== 'OPTIONS' || origin === undefined || asked === undefined) return undefined
    return reply
      .headers({
        'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE',
        'access-control-allow-headers': preflightHeaders,
        'access-control-max-age': '600',
      })
      .code(204)
      .send()
  }
}

const preflightHeaders =
  'Authorization, Content-Type, Accept, Atlas-Approval, MCP-Protocol-Version, Mcp-Method, Mcp-Name, If-Match'

/** Puts the headers of every answer on this one. Also called where no hook runs. */
export function protect(request: FastifyRequest, reply: FastifyReply): void {
  void reply.headers({ ...securityHeaders, 'x-request-id': request.id, vary: 'Origin' })
  if (request.protocol === 'https') void reply.header('strict-transport-security', strictTransport)
}

/** Tokens travel over plain http only on this machine, or from a trusted proxy that says it was https until there. */
function refusePlainHttp({ protocol, raw }: FastifyRequest): void {
  // No address: the request did not come over a network (app.inject).
  const isLocal = !raw.socket.remoteAddress || isLocalPeer(raw)
  if (protocol !== 'https' && !isLocal) throw new Problem('denied', 'Plain http is refused; use https')
}

/** Whether the other end of the socket is on this machine; what a proxy there passes on comes from anywhere. */
export function isLocalPeer({ socket }: IncomingMessage): boolean {
  const peer = (socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/i, '')
  return peer === '::1' || peer.startsWith('127.')
}

function checkHost(request: FastifyRequest, named: ReadonlySet<string>): void {
  const hosts = headerValues(request.raw, 'host')
  const [host] = hosts
  if (hosts.length !== 1 || host === undefined) throw new Problem('invalid-input', 'Send exactly one Host header')
  const target = request.raw.url ?? ''
  // Absolute-form names the host a second time (RFC 9112 §3.2.2); both must be ours. `*` is OPTIONS for the whole server.
  const authority = target.startsWith('/') || target === '*' ? host : URL.parse(target)?.host
  for (const name of [host, authority ?? ''])
    if (!named.has(name.toLowerCase()) && !isLocalName(name.toLowerCase(), request))
      throw new Problem(
        'misdirected-request',
        'Add the name to ATLAS_PUBLIC_URL if people should reach the server by it',
      )
}

/**
 * The socket's own address is safe (a rebinding page has a name, not our address, in `Host`); `localhost` is only
 * when the request came over the loopback interface. The port must be the socket's.
 */
function isLocalName(host: string, { socket, protocol }: FastifyRequest): boolean {
  const { localAddress, localPort } = socket
  const address = (localAddress ?? '127.0.0.1').toLowerCase().replace(/^::ffff:(?=\d+\.)/, '')
  const loopback = address === '::1' || address.startsWith('127.')
  const names = [
    address.includes(':') ? `[${address}]` : address,
    ...(loopback ? ['localhost', '127.0.0.1', '[::1]'] : []),
  ]
  // Without a port in Host it is the scheme's own. No local port: the request did not come over a network (app.inject).
  const standard = localPort === undefined || localPort === (protocol === 'https' ? 443 : 80)
  return names.some((name) => host === `${name}:${localPort ?? 80}` || (standard && host === name))
}

function checkOrigin(request: FastifyRequest, allowed: ReadonlySet<string>): string | undefined {
  const sent = headerValues(request.raw, 'origin')
  const [origin] = sent
  if (origin === undefined) return undefined
  const own = `${request.protocol}://${request.raw.headers.host}`
  if (sent.length === 1 && (allowed.has(origin) || origin === own)) return origin
  throw new Problem('denied', 'Pages of that origin may not call this server')
}

function refuseCrossSite({ method, headers }: FastifyRequest, origin: string | undefined): void {
  const site = headers['sec-fetch-site']
  if (method === 'GET' || method === 'HEAD' || method === 'OPTIONS') return
  // With an allowed Origin the browser says cross-site too, and that is what allowing it means.
  if ((site === 'cross-site' || site === 'same-site') && origin === undefined)
    throw new Problem('denied', 'Pages of another site may not change anything here')
}

/** A URL ends up in histories, proxies' logs and referrers: a token in it is refused, also where it would be ignored. */
function refuseTokenInUrl(url: string): void {
  const query = url.slice(url.indexOf('?') + 1 || url.length)
  for (const [name, value] of new URLSearchParams(query))
    if (/^(access_token|api_?key|authorization|bearer)$/i.test(name) || value.startsWith('atl_'))
      throw new Problem(
        'invalid-input',
        'Tokens are read from the Authorization header only; replace the one in this URL',
      )
}

function allowOrigin(reply: FastifyReply, origin: string): void {
  void reply.headers({
    'access-control-allow-origin': origin,
    'access-control-expose-headers':
      'X-Request-Id, RateLimit, RateLimit-Policy, Retry-After, Location, WWW-Authenticate, Allow',
    'cross-origin-resource-policy': 'cross-origin',
  })
}

function publicHost({ publicUrl }: HttpDoorConfig): readonly string[] {
  return publicUrl === undefined ? [] : [new URL(publicUrl).host]
}

function publicOrigin({ publicUrl }: HttpDoorConfig): readonly string[] {
  return publicUrl === undefined ? [] : [new URL(publicUrl).origin]
}
