import { Readable } from 'node:stream'
import { z } from 'zod'
import { Problem } from '../../core/problem.ts'
import { gateEvents } from '../../gate/events.ts'
import { attachment } from './disposition.ts'
import { pathParams } from './input.ts'
import type { HttpDoorParts } from './parts.ts'
import { sendPending } from './rest.ts'
import type { Route } from './route.ts'

const Download = z.object({ name: z.string(), mediaType: z.string(), bytes: z.int(), sha256: z.string() })

/**
 * The bytes of an export. Who may have them is decided, and recorded, by the same action that every door calls; the file is found
 * by the export's id alone.
 */
export function exportRoute({ invoke, exportFile }: Pick<HttpDoorParts, 'invoke' | 'exportFile'>): Route {
  return {
    method: 'GET',
    path: '/api/v1/exports/:export/content',
    public: false,
    events: gateEvents,
    handle: async ({ request, reply }, { call }) => {
      const { export: id = '' } = pathParams(request.params)
      const answer = await invoke(call('http'), 'exports.exports.download', { export: id })
      if ('pending' in answer) return sendPending(reply, answer.pending)
      const { name, mediaType, bytes, sha256 } = Download.parse(answer.output)
      const file = await exportFile(id)
      if (!file) throw new Problem('gone', 'The file of this export is no longer there; make it again')
      void reply.headers({
        'content-type': mediaType,
        'content-length': bytes,
        'content-disposition': attachment(name),
        'accept-ranges': 'none',
        'repr-digest': `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`,
      })
      if (request.method !== 'HEAD') return reply.send(file.createReadStream())
      await file.close()
      // Not nothing: that would say a length of 0.
      return reply.send(Readable.from([]))
    },
  }
}
