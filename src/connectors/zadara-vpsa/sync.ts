import type { Cursor, Http, Observation, SyncBatch, SyncContext } from '../../core/connector.ts'
import {
  observeController,
  observeDisk,
  observePool,
  observeServer,
  observeSnapshot,
  observeVolume,
} from './observe.ts'
import { type List, pagesOf } from './pages.ts'
import { Controller, Disk, Pool, Server, Snapshot, Volume } from './schema.ts'

export const lists = {
  pools: { path: '/api/pools.json', key: 'pools', item: Pool },
  servers: { path: '/api/servers.json', key: 'servers', item: Server },
  volumes: { path: '/api/volumes.json', key: 'volumes', item: Volume },
  snapshots: { path: '/api/snapshots.json', key: 'snapshots', item: Snapshot },
  controllers: { path: '/api/vcontrollers.json', key: 'vcontrollers', item: Controller },
  drives: { path: '/api/drives.json', key: 'disks', item: Disk },
} as const

/** The VPSA has no feed of changes, so every run reads everything. One request at a time. */
export async function* sync({ http, config }: SyncContext<{ pageSize: number }>): AsyncGenerator<SyncBatch, Cursor> {
  const read = <T extends { readonly name: string }>(
    stage: string,
    list: List<T>,
    observe: (row: T) => Observation,
  ): AsyncGenerator<SyncBatch> => observed(http, { stage, list, observe, limit: config.pageSize })

  yield* read('pools', lists.pools, observePool)
  yield* read('servers', lists.servers, observeServer)
  yield* read('volumes', lists.volumes, observeVolume)
  yield* read('snapshots', lists.snapshots, observeSnapshot)
  yield* read('controllers', lists.controllers, observeController)
  yield* read('drives', lists.drives, observeDisk)
  return {}
}

type Reading<T extends { readonly name: string }> = {
  readonly stage: string
  readonly list: List<T>
  readonly observe: (row: T) => Observation
  readonly limit: number
}

async function* observed<T extends { readonly name: string }>(
  http: Http,
  { stage, list, observe, limit }: Reading<T>,
): AsyncGenerator<SyncBatch> {
  for await (const { rows, total } of pagesOf(http, list, limit))
    yield { stage, ...(total !== undefined && { total }), observations: rows.map(observe), full: true }
}
