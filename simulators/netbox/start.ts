import { randomUUID } from 'node:crypto'
import type { Ca } from '../lib/ca.ts'
import { makeEstate } from '../lib/estate.ts'
import { json, movableClock, type SimRequest, startServer } from '../lib/server.ts'
import type { Truth } from '../lib/truth.ts'
import { makeApi } from './api.ts'
import { makeChangelog } from './changelog.ts'
import { type Collection, makeCollection } from './collection.ts'
import { fileCollections } from './file-data.ts'
import { estateCollections } from './rows.ts'
import { makeTokens } from './tokens.ts'
import { makeWebhook, type WebhookTarget } from './webhook.ts'
import { makeWrites } from './write.ts'

export type NetboxOptions = {
  readonly port?: number
  /** Devices of the invented estate; 1000 unless told. */
  readonly devices?: number
  /** Virtual machines; as many as devices unless told. */
  readonly vms?: number
  readonly seed?: number
  /** The company to show as its registry, in place of the invented estate. */
  readonly truth?: Truth
  /** Collections from this file instead of the estate. */
  readonly data?: string
  readonly ca?: Ca
  /** In place of the random v2 token. */
  readonly token?: string
  /** CHANGELOG_RETENTION in days; 90 unless told, 0 keeps all. */
  readonly changelogDays?: number
  /** `4.6.8` unless told. Before 4.1 the changelog is under extras; before 4.6 there are no ETags and no cursor mode. */
  readonly version?: string
  readonly maxPageSize?: number
}

export type Netbox = Awaited<ReturnType<typeof startNetbox>>

/** Starts a simulated NetBox on https://127.0.0.1:<port>, with its own CA and fresh tokens. */
export async function startNetbox(options: NetboxOptions = {}) {
  const { version = '4.6.8', seed = 1, changelogDays = 90 } = options
  const clock = movableClock()
  const tokens = makeTokens(clock.now, options.token)
  const denied = new Set<string>()
  const webhook = makeWebhook(clock.now)
  let handle: ReturnType<typeof makeApi> | undefined
  let admin: ReturnType<typeof makeAdmin> | undefined
  const server = await startServer({
    clock,
    ownFaults: ['duplicate-page', 'unsorted', 'lost-rows'],
    handle: (request) => handle?.(request) ?? json(503, { detail: 'Starting.' }),
    admin: (request) => admin?.reply(request),
    ...(options.port !== undefined && { port: options.port }),
    ...(options.ca && { ca: options.ca }),
  })

  // Rows hold absolute URLs, so they are made once the port is known.
  const { origin } = server
  const { devices = 1000, vms = devices < 7 ? 0 : devices } = options
  const rows = options.data
    ? fileCollections(options.data, origin)
    : estateCollections({
        estate: options.truth?.estate ?? makeEstate({ seed, devices, vms }),
        truth: options.truth,
        origin,
        seed,
        now: clock.now,
      })
  const journal = makeCollection({
    path: 'extras/journal-entries',
    type: 'extras.journalentry',
    ids: [],
    make: () => ({}),
  })
  const collections = new Map([...rows, journal].map((collection) => [collection.path, collection]))
  const lookup = (path: string) => collections.get(path)
  const isOld = /^([0-3]\.|4\.0)/.test(version)
  const changelogPath = isOld ? 'extras/object-changes' : 'core/object-changes'
  const changelog = makeChangelog({ now: clock.now, origin, path: changelogPath, keepDays: changelogDays })
  changelog.seed(rows.slice(0, 8), 200, seed)
  const writes = makeWrites({ now: clock.now, origin, changelog, lookup, changed: webhook.notify })
  const maxPageSize = options.maxPageSize ?? 1000
  handle = makeApi({
    origin,
    version,
    now: clock.now,
    tokens,
    changelog,
    changelogPath,
    lookup,
    writes,
    denied,
    maxPageSize,
  })
  admin = makeAdmin({ lookup, writes, denied, webhook })

  return {
    url: origin,
    caPem: server.caPem,
    /** What a connection to it is added with; the account may only read. */
    config: { url: origin },
    credential: { token: tokens.names.readOnly },
    tokens: tokens.names,
    rotateToken: tokens.rotate,
    adminToken: server.adminToken,
    /** Every request answered so far; `splice(0)` forgets them. */
    requests: server.requests,
    /** For example `fault({ kind: '429', count: 2, retryAfter: 1 })`; `faults.planned.splice(0)` forgets them. */
    fault: server.faults.plan,
    faults: server.faults,
    forward: clock.forward,
    ...admin.switches,
    deliveries: webhook.deliveries,
    stop: server.stop,
  }
}

type AdminParts = {
  readonly lookup: (path: string) => Collection | undefined
  readonly writes: ReturnType<typeof makeWrites>
  readonly denied: Set<string>
  readonly webhook: ReturnType<typeof makeWebhook>
}

/** Changes from behind the API, as if other people worked in NetBox. `model` is a path such as `dcim/devices`. */
function makeAdmin({ lookup, writes, denied, webhook }: AdminParts) {
  const author = () => ({ user: { id: 9, username: 'someone' }, requestId: randomUUID() })
  const collectionOf = (model: string): Collection => {
    const found = lookup(model)
    if (!found) throw new RangeError(`no collection ${model}`)
    return found
  }
  /** Spread over the whole list. */
  const some = ({ ids }: Collection, count: number) => {
    const wanted = Math.min(count, ids.length)
    return Array.from({ length: wanted }, (_, i) => ids[Math.floor((i * ids.length) / wanted)] as number)
  }
  const switches = {
    /** Saves `count` objects with a new description; answers their ids. */
    touch: (count: number, model = 'dcim/devices'): number[] => {
      const collection = collectionOf(model)
      const ids = some(collection, count)
      const by = author()
      for (const id of ids) writes.update(collection, id, { description: `touched ${by.requestId.slice(0, 8)}` }, by)
      return ids
    },
    /** Deletes `count` objects, or exactly `ids`, whatever depends on them. */
    remove: (count: number, model = 'dcim/devices', ids?: readonly number[]): number[] => {
      const collection = collectionOf(model)
      const gone = ids ? [...ids] : some(collection, count)
      for (const id of gone) writes.remove(collection, id, author())
      return gone
    },
    /** Adds `count` objects like the first of the model, under new names. */
    add: (count: number, model = 'dcim/devices'): number[] => {
      const collection = collectionOf(model)
      const first = collection.row(collection.ids[0] ?? 0) ?? {}
      const { id: _id, url: _url, display_url: _page, display: _display, ...like } = first
      return Array.from({ length: count }, () => {
        const name = `new-${randomUUID().slice(0, 8)}`
        const own = 'name' in like ? { name, display: name } : {}
        return writes.create(collection, { ...like, ...own }, author())['id'] as number
      })
    },
    /** Takes a path (`core/object-changes`) away from every token, or gives it back. */
    deny: (path: string, isDenied = true): void => {
      if (isDenied) denied.add(path)
      else denied.delete(path)
    },
    webhookTo: (target: WebhookTarget | undefined): void => webhook.setTarget(target),
  }
  return {
    switches,
    /** `/__sim/touch|delete|add?count=&model=` · `/__sim/deny?path=&off` · `/__sim/webhook` with `{url, secret, caPem}` · `/__sim/deliveries` */
    reply({ method, path, query, body }: SimRequest) {
      const count = Number(query.get('count') ?? 1)
      const model = query.get('model') ?? 'dcim/devices'
      if (path === '/__sim/deliveries') return json(200, webhook.deliveries)
      if (method !== 'POST') return undefined
      if (!Number.isSafeInteger(count) || count < 0 || !lookup(model))
        return json(400, { error: 'count or model is wrong' })
      if (path === '/__sim/touch') return json(200, { ids: switches.touch(count, model) })
      if (path === '/__sim/add') return json(200, { ids: switches.add(count, model) })
      if (path === '/__sim/delete') {
        const ids = query
          .getAll('id')
          .map(Number)
          .filter((id) => lookup(model)?.row(id))
        return json(200, { ids: switches.remove(count, model, query.has('id') ? ids : undefined) })
      }
      if (path === '/__sim/deny') switches.deny(query.get('path') ?? '', !query.has('off'))
      else if (path === '/__sim/webhook')
        switches.webhookTo(body === '' ? undefined : (JSON.parse(body) as WebhookTarget))
      else return undefined
      return json(200, { ok: true })
    },
  }
}
