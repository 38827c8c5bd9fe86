import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { HttpRoute } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import { type EventCode, tokenEvents } from '../../gate/events.ts'
import { newId } from '../../lib/ids.ts'
import { answerBrokenConnection, answerExpectation, sendProblem } from './answer.ts'
import { auditFileRoutes } from './audit-files.ts'
import { fileRoutes } from './files.ts'
import { makeGuard } from './guard.ts'
import { healthRoutes } from './health.ts'
import { mcpRoute } from './mcp-endpoint.ts'
import { metadataRoutes } from './metadata.ts'
import { metricsRoute } from './metrics.ts'
import { openapiRoute } from './openapi.ts'
import type { HttpDoorParts } from './parts.ts'
import { problemsRoute } from './problems-page.ts'
import { restRoutes } from './rest.ts'
import { mount, type Route } from './route.ts'
import { signInRoutes } from './sign-in.ts'
import { webhookRoutes } from './webhooks.ts'

export type ListedRoute = {
  readonly method: HttpRoute['method']
  readonly path: string
  readonly public: boolean
  readonly events: readonly EventCode[]
}

/** Routes that answer without a token. A route that is not here cannot be public, whatever its own file says. */
export const publicPaths: readonly string[] = [
  '/livez',
  '/readyz',
  '/health',
  '/metrics',
  '/api/v1/openapi.json',
  '/api/v1/setup',
  '/hooks/:connection',
  '/api/v1/login',
  '/setup',
  '/docs/problems',
  '/.well-known/oauth-protected-resource',
  '/.well-known/oauth-protected-resource/mcp',
]

/** The HTTP door: REST drawn from the catalog, the MCP endpoint, the log's files and the few public pages. */
export function makeHttpDoor(parts: HttpDoorParts): { app: FastifyInstance; routes: readonly ListedRoute[] } {
  const { config, mcp } = parts
  const routes: readonly Route[] = [
    ...healthRoutes(parts),
    metricsRoute(parts),
    ...metadataRoutes(config),
    ...signInRoutes(parts),
    problemsRoute(),
    openapiRoute(parts),
    ...auditFileRoutes(parts),
    ...webhookRoutes(parts),
    ...fileRoutes(parts),
    ...(mcp ? [mcpRoute(mcp, config)] : []),
    ...restRoutes(parts),
  ]
  const unlisted = routes.find((route) => route.public && !publicPaths.includes(route.path))
  if (unlisted) throw new Error(`${unlisted.path} is public but not on the list of public paths`)

  const app = makeServer(parts)
  app.server.on('checkExpectation', answerExpectation)
  const guard = makeGuard(config)
  endConnectionsOnClose(app)
  app.addHook('onRequest', async (request, reply) => guard(request, reply))
  app.setErrorHandler((error, request, reply) => sendProblem(parts, error, request, reply))
  app.setNotFoundHandler((request, reply) => sendProblem(parts, notFound(routes, request, reply), request, reply))
  // The route's own handler reads the body, after it knows who asks; nothing is parsed before.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))
  for (const route of routes) mount(app, parts, route)
  return {
    app,
    routes: routes.map(({ method, path, public: isPublic, events }) => ({
      method,
      path,
      public: isPublic,
      events: isPublic ? events : [...events, ...tokenEvents],
    })),
  }
}

function makeServer(parts: HttpDoorParts): FastifyInstance {
  const { trustedProxies, tls } = parts.config
  const options = {
    logger: false,
    trustProxy: trustedProxies && trustedProxies.length > 0 ? [...trustedProxies] : false,
    requestIdHeader: false,
    genReqId: () => newId('req'),
    // Slow clients: the header block within 10 s, the whole request within 30 s, looked at every 5 s.
    requestTimeout: 30_000,
    keepAliveTimeout: 65_000,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: true,
    routerOptions: {
      caseSensitive: true,
      ignoreTrailingSlash: false,
      ignoreDuplicateSlashes: false,
      maxParamLength: 256,
    },
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => {
      sendProblem(parts, error, request, reply)
    },
    clientErrorHandler: answerBrokenConnection,
  } as const
  // A missing Host is ours to answer: node's own answer would come without the security headers.
  const http = {
    headersTimeout: 10_000,
    connectionsCheckingInterval: 5_000,
    maxHeaderSize: 16_384,
    requireHostHeader: false,
  }
  const app = tls
    ? Fastify({ ...options, https: { ...http, ...tls, minVersion: 'TLSv1.3' } })
    : Fastify({ ...options, http })
  return app as unknown as FastifyInstance
}

/** A connection whose last answer ends during a shutdown would otherwise stay open for its whole keep-alive time. */
function endConnectionsOnClose(app: FastifyInstance): void {
  let isClosing = false
  app.addHook('preClose', async () => {
    isClosing = true
  })
  app.addHook('onResponse', async () => {
    if (isClosing) setImmediate(() => app.server.closeIdleConnections())
  })
}

/** 405 when the path exists under another method (RFC 9110 §15.5.6 asks for `Allow`), else 404. */
function notFound(routes: readonly Route[], request: FastifyRequest, reply: FastifyReply): Problem {
  const path = (request.raw.url ?? '').split('?', 1)[0] ?? ''
  const methods = routes.filter((route) => matches(route.path, path)).map(({ method }) => method)
  if (methods.length === 0) return new Problem('not-found', 'There is nothing at this path')
  void reply.header('allow', [...new Set(methods.flatMap((m) => (m === 'GET' ? ['GET', 'HEAD'] : [m])))].join(', '))
  return new Problem('method-not-allowed')
}

function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split('/')
  const given = path.split('/')
  if (pattern.endsWith('/*')) return path.startsWith(pattern.slice(0, -1))
  return (
    wanted.length === given.length &&
    wanted.every((part, i) => (part.startsWith(':') ? given[i] !== '' : part === given[i]))
  )
}
