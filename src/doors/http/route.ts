import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { HttpRoute, Principal } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import type { EventCode } from '../../gate/events.ts'
import type { Call } from '../../gate/invoke.ts'
import { challenge, readBearer } from './bearer.ts'
import type { HttpDoorParts } from './parts.ts'

/** One request as the handlers see it. */
export type Exchange = {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly requestId: string
  readonly remoteAddress: string
  /** Ends when the client has gone before its answer was complete. */
  readonly signal: AbortSignal
}

type Place = {
  readonly method: HttpRoute['method']
  readonly path: string
  /** Everything that a request here can leave in the audit log; a private route adds `tokenEvents` by itself. */
  readonly events: readonly EventCode[]
}

/** A private handler cannot be written without the principal that only authentication gives. */
export type Route =
  | (Place & { readonly public: true; readonly handle: (exchange: Exchange) => Promise<unknown> })
  | (Place & { readonly public: false; readonly handle: (exchange: Exchange, caller: Caller) => Promise<unknown> })

export type Caller = { readonly principal: Principal; readonly call: (door: 'http' | 'mcp') => Call }

type Parts = Pick<HttpDoorParts, 'authenticate' | 'unauthenticatedLimit' | 'rateLimitHeaders' | 'config'>

/**
 * Registers a route. Authentication is the first statement of the handler itself, before the body is read: no hook that
 * a header or a path spelling could skip stands between a request and its principal.
 */
export function mount(app: FastifyInstance, parts: Parts, route: Route): void {
  app.route({
    method: route.method,
    url: route.path,
    handler: async (request, reply) => {
      const exchange = exchangeOf(request, reply)
      if (route.public) return route.handle(exchange)
      const principal = await identify(parts, exchange)
      return route.handle(exchange, { principal, call: (door) => callOf(parts, exchange, principal, door) })
    },
  })
}

async function identify(parts: Parts, { request, reply, remoteAddress }: Exchange): Promise<Principal> {
  try {
    return await parts.authenticate(readBearer(request.raw), remoteAddress)
  } catch (error) {
    if (!(error instanceof Problem && error.type === 'unauthenticated')) throw error
    parts.unauthenticatedLimit(remoteAddress)
    void reply.header('www-authenticate', challenge(request, parts.config))
    throw error
  }
}

function callOf({ rateLimitHeaders }: Parts, exchange: Exchange, principal: Principal, door: 'http' | 'mcp'): Call {
  const { request, reply, requestId, remoteAddress, signal } = exchange
  const approval = request.headers['atlas-approval']
  return {
    door,
    principal,
    requestId,
    signal,
    remoteAddress,
    ...(typeof approval === 'string' && { approval }),
    onLimit: (state) => {
      if (!reply.sent) void reply.headers(rateLimitHeaders(state))
    },
  }
}

function exchangeOf(request: FastifyRequest, reply: FastifyReply): Exchange {
  const gone = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort()
  })
  return { request, reply, requestId: request.id, remoteAddress: plainAddress(request.ip), signal: gone.signal }
}

/** An IPv4 client on a dual-stack socket is the same client. */
function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:(?=\d+\.)/i, '')
}
