import type { HttpDoorParts } from './parts.ts'
import type { Exchange, Route } from './route.ts'

/** `/livez`: the process answers. `/readyz` and `/health`: it can do its work; 503 names the parts that cannot. */
export function healthRoutes({ health, log }: Pick<HttpDoorParts, 'health' | 'log'>): readonly Route[] {
  const ready = async ({ reply, requestId }: Exchange) => {
    const parts = await health.ready().catch((err: unknown) => {
      log.error({ requestId, err }, 'the readiness check failed')
      return { server: false }
    })
    const faults = Object.entries(parts).filter(([, state]) => state !== true)
    const notReady = Object.fromEntries(faults.map(([name, state]) => [name, state === false ? 'not ready' : state]))
    return reply.code(faults.length === 0 ? 200 : 503).send({ ready: faults.length === 0, notReady })
  }
  return [
    { method: 'GET', path: '/livez', public: true, events: [], handle: async () => ({ live: true }) },
    { method: 'GET', path: '/readyz', public: true, events: [], handle: ready },
    { method: 'GET', path: '/health', public: true, events: [], handle: ready },
  ]
}
