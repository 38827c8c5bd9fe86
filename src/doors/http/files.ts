import { Readable } from 'node:stream'
import { z } from 'zod'
import { Problem } from '../../core/problem.ts'
import { gateEvents } from '../../gate/events.ts'
import { attachment } from './disposition.ts'
import { pathParams } from './input.ts'
import type { HttpDoorParts } from './parts.ts'
import { sendPending } from './rest.ts'
import type { Route } from './route.ts'

const Download = z.object({
  name: z.string(),
  mediaType: z.string().default('application/octet-stream'),
  bytes: z.int(),
  sha256: z.string(),
})

type Parts = Pick<HttpDoorParts, 'invoke' | 'exportFile' | 'backupFile'>

/**
 * The bytes of exports and backups. Who may have them is decided, and recorded, by the same action that every door calls; the file
 * is found by its id alone.
 */
export function fileRoutes({ invoke, exportFile, backupFile }: Parts): readonly Route[] {
  return [
    fileRoute('/api/v1/exports/:export/content', {
      invoke,
      open: exportFile,
      action: 'exports.exports.download',
      gone: 'The file of this export is no longer there; make it again',
    }),
    fileRoute('/api/v1/backups/:backup/file', {
      invoke,
      open: backupFile,
      action: 'system.backups.download',
      gone: 'The file of this backup is not on this server, or is not the one that was made',
    }),
  ]
}

type Served = Pick<HttpDoorParts, 'invoke'> & {
  readonly open: HttpDoorParts['exportFile']
  readonly action: string
  readonly gone: string
}

function fileRoute(path: string, { invoke, open, action, gone }: Served): Route {
  return {
    method: 'GET',
    path,
    public: false,
    events: gateEvents,
    handle: async ({ request, reply }, { call }) => {
      const params = pathParams(request.params)
      const answer = await invoke(call('http'), action, params)
      if ('pending' in answer) return sendPending(reply, answer.pending)
      const { name, mediaType, bytes, sha256 } = Download.parse(answer.output)
      const file = await open(Object.values(params)[0] ?? '')
      if (!file) throw new Problem('gone', gone)
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
