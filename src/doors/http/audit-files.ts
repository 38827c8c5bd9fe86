import { Problem } from '../../core/problem.ts'
import type { HttpDoorParts } from './parts.ts'
import type { Caller, Route } from './route.ts'

/**
 * The transparency log as files (C2SP tlog-tiles), for those whom policy lets read it. They are gated but not recorded:
 * an event for each read would make the log grow under the reader that copies it.
 */
export function auditFileRoutes({ audit, check }: Pick<HttpDoorParts, 'audit' | 'check'>): readonly Route[] {
  const mayRead = ({ call }: Caller) => check(call('http'), 'audit.log.read', { type: 'audit', id: '*' })
  return [
    {
      method: 'GET',
      path: '/audit/checkpoint',
      public: false,
      events: [],
      handle: async ({ reply }, caller) => {
        mayRead(caller)
        void reply.header('cache-control', 'private, max-age=1').type('text/plain; charset=utf-8')
        return reply.send(await audit.checkpoint())
      },
    },
    {
      method: 'GET',
      path: '/audit/vkey',
      public: false,
      events: [],
      handle: async ({ reply }, caller) => {
        mayRead(caller)
        return reply.type('text/plain; charset=utf-8').send(`${audit.vkey.trim()}\n`)
      },
    },
    {
      method: 'GET',
      path: '/audit/tile/*',
      public: false,
      events: [],
      handle: async ({ request, reply }, caller) => {
        mayRead(caller)
        // Taken from the URL as sent: a decoded form could spell a different path.
        const path = (request.raw.url ?? '').replace(/^.*?\/audit\/tile\//, '')
        if (!tilePath.test(path)) throw new Problem('not-found')
        const tile = await audit.tile(path)
        if (tile === undefined) throw new Problem('not-found')
        void reply.header('cache-control', 'private, max-age=31536000, immutable').type('application/octet-stream')
        return reply.send(Buffer.from(tile))
      },
    },
  ]
}

/** `<L>/<N>[.p/<W>]` or `entries/<N>[.p/<W>]`; N in groups of three digits, all but the last with an `x` (tlog-tiles). */
const tilePath =
  /^(?:\d|[1-5]\d|6[0-3]|entries)\/(?:x\d{3}\/){0,6}\d{3}(?:\.p\/(?:[1-9]|[1-9]\d|1\d\d|2[0-4]\d|25[0-5]))?$/
