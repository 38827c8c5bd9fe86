import { json, type Reply, type SimRequest } from '../lib/server.ts'
import { makeSnapshot, makeVolume, type Row, type Rows, stamp, type VpsaArray } from './rows.ts'

type Parts = {
  readonly array: VpsaArray
  readonly now: () => Date
  /** Access key → whether its user has roles to change things. */
  readonly keys: ReadonlyMap<string, { readonly mayWrite: boolean }>
}

/** The three spellings of a failure's sentence, taken in turn. */
const spellings = ['message', 'status-msg', 'status_msg'] as const

/** The VPSA's REST API: HTTP 200 for almost everything, the outcome in `response.status`. */
export function makeApi({ array, now, keys }: Parts) {
  let failures = 0
  const failed = (status: number, words: string): Reply =>
    json(200, { response: { status, [spellings[failures++ % spellings.length] as string]: words } })
  const missing = (what: string, name: string) =>
    failed(what === 'Server' ? 10086 : what === 'Volume' ? 10081 : 10090, `${what} ${name} not found`)

  const lists: Readonly<Record<string, readonly [string, Rows]>> = {
    pools: ['pools', array.pools],
    servers: ['servers', array.servers],
    volumes: ['volumes', array.volumes],
    snapshots: ['snapshots', array.snapshots],
    vcontrollers: ['vcontrollers', array.controllers],
    drives: ['disks', array.drives],
  }

  function read(place: readonly string[], query: URLSearchParams): Reply {
    const [first = '', second, third] = place
    const list = lists[first]
    if (list && second === undefined) return listed(list[0], filtered(first, list[1], query), query)
    if (third === 'performance' && list) {
      return list[1].get(second ?? '') || first === 'vcontrollers'
        ? usages(query)
        : missing(nouns[first] ?? '', second ?? '')
    }
    if (first === 'consistency_groups' && third === 'snapshots') {
      const own = [...array.snapshots.all()].filter((row) => row['cg_name'] === second)
      return listed('snapshots', own, query)
    }
    if (list && second !== undefined && third === undefined) {
      const row = list[1].get(second)
      return row
        ? json(200, { response: { status: 0, [list[0].slice(0, -1)]: row } })
        : missing(nouns[first] ?? '', second)
    }
    return html404
  }

  function filtered(place: string, rows: Rows, query: URLSearchParams): Rows | Row[] {
    const name = query.get('display_name')
    const only =
      query.get('showonlyblock') === 'YES' ? 'BLOCK' : query.get('showonlyfile') === 'YES' ? 'FILE' : undefined
    if (place !== 'volumes' || (name === null && only === undefined)) return rows
    return [...rows.all()].filter(
      (row) => (name === null || row['display_name'] === name) && (only === undefined || row['data_type'] === only),
    )
  }

  function usages(query: URLSearchParams): Reply {
    const step = Number(query.get('interval') ?? 1) * 1000
    const rows = Array.from({ length: 20 }, (_, i) => ({
      num_ios: 100 + i,
      bytes_sec: 4_194_304 + i,
      latency: 0.8,
      time: stamp(new Date(now().getTime() - (20 - i) * step)),
    }))
    return json(200, { response: { status: 0, count: rows.length, usages: rows } })
  }

  function write(method: string, place: readonly string[], body: Record<string, unknown>): Reply {
    const [first, second = '', third] = place
    const id = `${method} ${[first, second && '*', third].filter(Boolean).join('/')}`
    if (id === 'POST volumes') return createVolume(body)
    if (id === 'POST volumes/*/expand') return expand(second, body)
    if (id === 'DELETE volumes/*') return deleteVolume(second)
    if (id === 'POST consistency_groups/*/snapshots') return snapshot(second, body)
    if (id === 'DELETE snapshots/*') return array.snapshots.remove(second) ? done() : missing('Snapshot', second)
    return html404
  }

  function createVolume(body: Record<string, unknown>): Reply {
    const size = /^(\d+)G$/.exec(String(body['capacity']))?.[1]
    const pool = array.pools.get(String(body['pool']))
    if (typeof body['name'] !== 'string' || size === undefined) return failed(10010, 'Invalid parameter capacity')
    if (!pool) return missing('Pool', String(body['pool']))
    const row = array.volumes.add((n) =>
      makeVolume(n, {
        display_name: body['name'],
        virtual_capacity: Number(size),
        allocated_capacity: 0,
        pool_name: pool.name,
        pool_display_name: pool['display_name'],
        server_ext_names: '',
        data_type: body['block'] === 'YES' ? 'BLOCK' : 'FILE',
        encryption: body['crypt'] === 'YES' ? 'YES' : 'NO',
        has_snapshots: 'NO',
        created_at: stamp(now()),
        modified_at: stamp(now()),
      }),
    )
    return json(200, { response: { status: 0, vol_name: row.name } })
  }

  function expand(name: string, body: Record<string, unknown>): Reply {
    const volume = array.volumes.get(name)
    const added = /^(\d+)G$/.exec(String(body['capacity']))?.[1]
    if (!volume) return missing('Volume', name)
    if (added === undefined) return failed(10010, 'Invalid parameter capacity')
    array.volumes.change(name, { virtual_capacity: Number(volume['virtual_capacity']) + Number(added) })
    return done()
  }

  function deleteVolume(name: string): Reply {
    const volume = array.volumes.get(name)
    if (!volume) return missing('Volume', name)
    if (volume['server_ext_names']) return failed(10120, `Volume ${name} is attached to servers`)
    array.volumes.remove(name)
    return done()
  }

  function snapshot(group: string, body: Record<string, unknown>): Reply {
    const volume = array.volumes.get(group.replace('cg-', 'volume-'))
    if (!volume) return missing('Volume', group)
    array.snapshots.add((n) =>
      makeSnapshot(n, {
        display_name: String(body['display_name']),
        volume_ext_name: volume.name,
        volume_display_name: volume['display_name'],
        volume_capacity_mb: Number(volume['virtual_capacity']) * 1024,
        cg_name: group,
        pool_name: volume['pool_name'],
        created_at: stamp(now()),
      }),
    )
    return done()
  }

  return function handle({ method, path, query, headers, body, fault }: SimRequest): Reply {
    const key = keys.get(String(headers['x-access-key'] ?? ''))
    if (fault === 'key-revoked' || !key) return failed(5, 'Invalid credentials')
    if (fault === 'bare-failure') return json(200, { 'status-msg': 'The system is upgrading' })
    if (fault === 'error-list') return json(200, { response: { status: 1, errors: [{ message: 'Internal error' }] } })
    if (fault === 'lost-rows') return json(200, { response: { status: 0, count: 999 } })
    const place = /^\/api\/([\w/.-]+)\.json$/.exec(path)?.[1]?.split('/')
    if (!place) return html404
    if (method === 'GET') return read(place, query)
    if (!key.mayWrite) return failed(6, 'User is not authorized to perform this operation')
    return write(method, place, bodyOf(body))
  }
}

const nouns: Readonly<Record<string, string>> = {
  volumes: 'Volume',
  pools: 'Pool',
  servers: 'Server',
  snapshots: 'Snapshot',
  drives: 'Drive',
  vcontrollers: 'Virtual controller',
}

const done = (): Reply => json(200, { response: { status: 0 } })

const html404: Reply = {
  status: 404,
  headers: { 'content-type': 'text/html' },
  body: '<!DOCTYPE html><html><body><h1>Not Found</h1></body></html>',
}

/** `start` and `limit`; limit 0 is everything, and `count` counts all matches. An empty list has no key at all. */
function listed(key: string, rows: Rows | Row[], query: URLSearchParams): Reply {
  const start = Number(query.get('start') ?? 0)
  const limit = Number(query.get('limit') ?? 0) || Number.MAX_SAFE_INTEGER
  const total = Array.isArray(rows) ? rows.length : rows.size
  const page = Array.isArray(rows) ? rows.slice(start, start + limit) : rows.page(start, limit)
  const list = total === 0 ? {} : { [key]: page }
  return { ...json(200, { response: { status: 0, count: total, ...list } }), items: page.length }
}

function bodyOf(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return {}
  }
}
