import { hash, timingSafeEqual } from 'node:crypto'
import { Problem } from '../../core/problem.ts'
import { metricsContentType } from '../../lib/metrics.ts'
import { readBearer } from './bearer.ts'
import { isLocalPeer } from './guard.ts'
import type { HttpDoorParts } from './parts.ts'
import type { Exchange, Route } from './route.ts'

/**
 * `/metrics` for Prometheus: with its own token when there is one, else only for a scraper on this machine. It has no principal, so no
 * token of Atlas opens it and it opens nothing else.
 */
export function metricsRoute({ metrics, unauthenticatedLimit }: HttpDoorParts): Route {
  return {
    method: 'GET',
    path: '/metrics',
    public: true,
    events: [],
    async handle(exchange) {
      if (metrics.tokenHash === undefined ? !isLocal(exchange) : !isToken(exchange, metrics.tokenHash)) {
        unauthenticatedLimit(exchange.remoteAddress)
        throw metrics.tokenHash === undefined
          ? new Problem(
              'denied',
              'Metrics are for this machine only; set ATLAS_METRICS_TOKEN to read them from elsewhere',
            )
          : new Problem('unauthenticated', 'Send the token of ATLAS_METRICS_TOKEN')
      }
      return exchange.reply.type(metricsContentType).send(await metrics.render())
    },
  }
}

/** What a proxy on this machine passes on is not of this machine, whether or not the proxy is trusted. */
function isLocal({ request }: Exchange): boolean {
  const isForwarded = Object.keys(request.headers).some((name) =>
    /^(forwarded|via|x-forwarded-.*|x-real-ip)$/.test(name),
  )
  return isLocalPeer(request.raw) && !isForwarded
}

function isToken({ request }: Exchange, expected: Buffer): boolean {
  return timingSafeEqual(hash('sha256', readBearer(request.raw), 'buffer'), expected)
}
