import type { Reply } from '../lib/server.ts'
import { data, type Engine, type EngineRequest, failed, json404 } from './api.ts'

type Fields = Readonly<Record<string, unknown>>
type Version = { readonly createdAt: string; fields: Fields | null; deletedAt: string; destroyed: boolean }

/** The key-value engine, version 2: versions that are read, deleted, restored and destroyed, with their metadata. */
export function makeKv(now: () => Date) {
  const secrets = new Map<string, Version[]>()

  function put(path: string, fields: Fields): Version {
    const versions = secrets.get(path) ?? []
    const version = { createdAt: now().toISOString(), fields, deletedAt: '', destroyed: false }
    versions.push(version)
    secrets.set(path, versions)
    return version
  }

  /** Versions by number; the newest when none is named. */
  function pick(path: string, numbers: readonly number[] = []): Version[] {
    const all = secrets.get(path) ?? []
    return (numbers.length === 0 ? [all.length] : numbers).flatMap((number) => all[number - 1] ?? [])
  }

  function read(path: string, wanted: string | null): Reply {
    const all = secrets.get(path)
    const number = Number(wanted ?? 0) || (all?.length ?? 0)
    const version = all?.[number - 1]
    if (!version) return failed(404)
    const isGone = version.destroyed || (version.deletedAt !== '' && version.deletedAt <= now().toISOString())
    const body = { data: isGone ? null : version.fields, metadata: metadataOf(version, number) }
    // What was deleted is answered like a reading, but with 404.
    return isGone ? json404(body) : data(body)
  }

  function change(path: string, verb: string, numbers: readonly number[]): Reply {
    const at = now().toISOString()
    for (const version of pick(path, numbers)) {
      if (verb === 'undelete') version.deletedAt = ''
      if (verb === 'delete') version.deletedAt = at
      if (verb === 'destroy') Object.assign(version, { destroyed: true, fields: null })
    }
    return { status: 204 }
  }

  const engine: Engine = {
    capabilityOf({ method, path }) {
      if (method === 'GET') return 'read'
      if (method === 'DELETE') return 'delete'
      return secrets.has(path.replace(/^[^/]+\//, '')) ? 'update' : 'create'
    },
    handle({ method, path, body, query }: EngineRequest) {
      const [, verb = '', name = ''] = /^([^/]+)\/(.+)$/.exec(path) ?? []
      const isWrite = method === 'POST' || method === 'PUT'
      if (verb === 'data' && method === 'GET') return read(name, query.get('version'))
      if (verb === 'data' && method === 'DELETE') return change(name, 'delete', [])
      if (verb === 'data' && isWrite) {
        const { cas } = (body['options'] ?? {}) as { cas?: number }
        const last = secrets.get(name)?.length ?? 0
        if (cas !== undefined && cas !== last)
          return failed(400, 'check-and-set parameter did not match the current version')
        if (typeof body['data'] !== 'object' || body['data'] === null) return failed(400, 'no data provided')
        return data(metadataOf(put(name, body['data'] as Fields), last + 1))
      }
      if (verb === 'metadata' && method === 'GET' && secrets.has(name)) {
        const all = secrets.get(name) ?? []
        return data({
          current_version: all.length,
          versions: Object.fromEntries(all.map((version, i) => [i + 1, metadataOf(version, i + 1)])),
        })
      }
      if (verb === 'metadata' && method === 'DELETE') return secrets.delete(name) ? { status: 204 } : { status: 204 }
      if (isWrite && ['delete', 'undelete', 'destroy'].includes(verb))
        return change(name, verb, (body['versions'] ?? []) as number[])
      return undefined
    },
  }
  return {
    engine,
    put,
    delete: (path: string, ...versions: number[]) => change(path, 'delete', versions),
    destroy: (path: string, ...versions: number[]) => change(path, 'destroy', versions),
  }
}

function metadataOf({ createdAt, deletedAt, destroyed }: Version, version: number) {
  return { created_time: createdAt, custom_metadata: null, deletion_time: deletedAt, destroyed, version }
}
