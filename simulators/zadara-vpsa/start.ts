import { randomBytes } from 'node:crypto'
import type { Ca } from '../lib/ca.ts'
import { makeCompany } from '../lib/company.ts'
import { json, movableClock, type SimRequest, startServer } from '../lib/server.ts'
import type { Truth } from '../lib/truth.ts'
import { makeApi } from './api.ts'
import { makeArray, type Row } from './rows.ts'

export type VpsaOptions = {
  readonly truth?: Truth
  readonly port?: number
  readonly ca?: Ca
  readonly clock?: ReturnType<typeof movableClock>
}

export type Vpsa = Awaited<ReturnType<typeof startVpsa>>

/** Starts a simulated VPSA on https://127.0.0.1:<port>: the storage behind the hypervisors of the company. */
export async function startVpsa({ truth = makeCompany(), port, ca, clock = movableClock() }: VpsaOptions = {}) {
  const array = makeArray(truth)
  const readKey = randomBytes(15).toString('base64url')
  const writeKey = randomBytes(15).toString('base64url')
  const handle = makeApi({
    array,
    now: clock.now,
    keys: new Map([
      [readKey, { mayWrite: false }],
      [writeKey, { mayWrite: true }],
    ]),
  })
  const lists = { volumes: array.volumes, snapshots: array.snapshots, pools: array.pools, servers: array.servers }
  const switches = {
    /** Changes fields of one thing, as someone in the VPSA's own pages would. */
    change: (list: keyof typeof lists, name: string, fields: Record<string, unknown>): boolean =>
      lists[list].change(name, fields),
    remove: (list: keyof typeof lists, name: string): boolean => lists[list].remove(name),
    row: (list: keyof typeof lists, name: string): Row | undefined => lists[list].get(name),
  }
  /** `POST /__sim/change?list=volumes&name=volume-00000001` with fields as JSON · `POST /__sim/remove?list=&name=` */
  function admin({ method, path, query, body }: SimRequest) {
    const list = query.get('list') ?? ''
    if (method !== 'POST' || !Object.hasOwn(lists, list)) return undefined
    const of = list as keyof typeof lists
    const name = query.get('name') ?? ''
    if (path === '/__sim/change') return json(200, { done: switches.change(of, name, JSON.parse(body)) })
    return path === '/__sim/remove' ? json(200, { done: switches.remove(of, name) }) : undefined
  }

  const server = await startServer({
    clock,
    handle,
    admin,
    ownFaults: ['key-revoked', 'bare-failure', 'error-list', 'lost-rows'],
    ...(port !== undefined && { port }),
    ...(ca && { ca }),
  })
  return {
    url: server.origin,
    caPem: server.caPem,
    config: { url: server.origin },
    /** A user without roles: it may only read. */
    credential: { accessKey: readKey },
    writeCredential: { accessKey: writeKey },
    adminToken: server.adminToken,
    requests: server.requests,
    fault: server.faults.plan,
    faults: server.faults,
    forward: clock.forward,
    ...switches,
    stop: server.stop,
  }
}
