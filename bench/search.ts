import { createSecretKey } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import type { Observation } from '../src/core/connector.ts'
import { makeInventory } from '../src/features/inventory/inventory.ts'
import { inventoryMigrations } from '../src/features/inventory/migrations.ts'
import { gramsOf, token } from '../src/features/inventory/text.ts'
import { type Database, openPostgres, openSqlite } from '../src/lib/db/database.ts'
import { migrate } from '../src/lib/db/migrate.ts'
import { startPostgres } from '../src/testing/postgres.ts'

type Line = { figure: string; value: number; unit: string; against?: string; ratio?: number }
type Print = (line: Line) => void

/** Figures of the inventory on both databases: assets written per second, and p95 of a mix of searches. */
export async function benchSearch(print: Print, { assets }: { assets: number }): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-bench-'))
  const key = createSecretKey(Buffer.alloc(32, 9))
  const sqlite = openSqlite(join(folder, 'atlas.db'), key.export())
  try {
    await benchOne(sqlite, 'SQLite', assets, print)
  } finally {
    await sqlite.close()
    rmSync(folder, { recursive: true, force: true })
  }
  const server = await startPostgres()
  const postgres = openPostgres({ url: server.url })
  try {
    await benchOne(postgres, 'PostgreSQL', assets, print)
  } finally {
    await postgres.close()
    await server.stop()
  }
}

async function benchOne(database: Database, title: string, assets: number, print: Print): Promise<void> {
  const now = () => new Date()
  await migrate(database, inventoryMigrations, now)
  const inventory = makeInventory({ database, subjectsOf: () => [], now })
  const size = assets.toLocaleString('en')
  const written = await fill(inventory, assets, 'run-1')
  print({
    figure: `inventory write, ${title}, ${size} assets, search index included`,
    value: written,
    unit: 'assets/s',
  })
  const again = await fill(inventory, Math.min(assets, 200_000), 'run-2')
  print({ figure: `inventory write, ${title}, unchanged assets`, value: again, unit: 'assets/s' })
  for (let connection = 0; connection < connections; connection++)
    await inventory.finishFullRun({ connectionId: connectionId(connection), runId: 'run-1' })

  const random = seeded(4)
  const mix = Object.entries(queries).flatMap(([name, make]) =>
    Array.from({ length: 40 }, () => ({ name, ...make(random, assets) })),
  )
  const ours = new Map<string, number[]>()
  const bare = new Map<string, number[]>()
  for (const round of ['warm', 'measured']) {
    for (const { name, text, ...narrow } of mix) {
      const filter = { kinds: [], source: undefined, statuses: [], sites: [], stale: false, ...narrow }
      const took = await time(() => inventory.search({ text, filter, sort: 'relevance', limit: 50 }))
      const bareTook = await time(() => bareSearch(database, text))
      if (round === 'warm') continue
      ours.set(name, [...(ours.get(name) ?? []), took])
      bare.set(name, [...(bare.get(name) ?? []), bareTook])
    }
  }
  for (const [name, times] of [['the whole mix', [...ours.values()].flat()] as const, ...ours]) {
    const value = p95(times)
    const against = p95(bare.get(name) ?? [...bare.values()].flat())
    print({
      figure: `search p95, ${title}, ${size} assets, ${name}`,
      value: round(value),
      unit: 'ms',
      against: `the bare full-text query: ${round(against)} ms`,
      ratio: round(value / against),
    })
  }
}

const connections = 10
const batchSize = 1_000

/** Only the writing is timed, not the making of the data. */
async function fill(inventory: ReturnType<typeof makeInventory>, assets: number, runId: string): Promise<number> {
  let took = 0
  for (let from = 0; from < assets; from += batchSize) {
    const observations = Array.from({ length: Math.min(batchSize, assets - from) }, (_, i) => makeAsset(from + i))
    const connection = Math.floor((from / assets) * connections)
    const batch = { connectionId: connectionId(connection), connector: 'bench', runId, observations }
    took += await time(() => inventory.applyBatch(batch))
  }
  return Math.round((assets / took) * 1_000)
}

function connectionId(n: number): string {
  return `con_${String(n).padStart(24, '0')}`
}

/** What the engine alone needs for the first page of rows that hold all parts of all words, without order, filter or count. */
async function bareSearch({ db, dialect }: Database, text: string): Promise<unknown> {
  const words = text.toLowerCase().split(' ')
  const found = (word: string, parts: string, whole: string) =>
    word === '' ? [] : [`(${parts} ${dialect === 'sqlite' ? 'OR' : '|'} ${whole})`]
  if (dialect === 'sqlite') {
    const match = words.flatMap((word) =>
      found(word, `"${gramsOf(word, 3).map(token.gram).join(' ')}"`, `"${token.word(word)}"`),
    )
    return sql`select rowid from asset_search where asset_search match ${match.join(' AND ')} limit 50`.execute(db)
  }
  const query = words.flatMap((word) =>
    found(
      word,
      `(${
        gramsOf(word, 4)
          .map((gram) => `'${token.gram(gram)}'`)
          .join(' & ') || `'${token.gram(word)}':*`
      })`,
      `'${token.word(word)}'`,
    ),
  )
  return sql`select seq from asset_search where doc @@ ${query.join(' & ')}::tsquery limit 50`.execute(db)
}

type Random = (below: number) => number
type Query = { text: string; kinds?: string[]; sites?: string[]; source?: string; statuses?: string[] }

/** What people look for; each of some random asset, so that there is something to find. */
const queries: Readonly<Record<string, (random: Random, assets: number) => Query>> = {
  'whole name': (random, assets) => ({ text: makeAsset(random(assets)).name }),
  'beginning of a name': (random, assets) => ({ text: makeAsset(random(assets)).name.slice(0, 6 + random(6)) }),
  'part of a name': (random, assets) => ({ text: partOf(makeAsset(random(assets)).name, random) }),
  'whole address': (random, assets) => ({ text: addressOf(random, assets) }),
  'beginning of an address': (random, assets) => ({
    text: `${addressOf(random, assets)
      .split('.')
      .slice(0, 2 + random(2))
      .join('.')}.`,
  }),
  serial: (random, assets) => ({ text: makeAsset(device(random, assets)).serial ?? '' }),
  'part of a serial': (random, assets) => ({ text: (makeAsset(device(random, assets)).serial ?? '').slice(3) }),
  'common word': (random) => ({
    text: pick(['poweredge', 'debian', 'database', 'r650', 'hypervisor', 'proliant'], random),
  }),
  'two words': (random) => ({
    text: `${pick(sites, random)} ${pick(['catalyst', 'nexus', 'r650', 'ubuntu'], random)}`,
  }),
  'beginning, with filters': (random) => ({
    text: pick(['srv', 'vm-', 'web', 'db-', 'sw-'], random),
    kinds: [pick(['device', 'virtual-machine'], random)],
    sites: [pick(sites, random)],
  }),
  'word, with filters': (random) => ({
    text: pick(['debian', 'poweredge', 'production'], random),
    source: connectionId(random(connections)),
    statuses: [pick(['offline', 'failed', 'active'], random)],
  }),
}

const cities = [
  'fra',
  'muc',
  'ber',
  'ham',
  'vie',
  'zrh',
  'ams',
  'par',
  'lon',
  'mad',
  'rom',
  'waw',
  'prg',
  'cph',
  'osl',
  'sto',
]
const sites = cities.flatMap((city) => [1, 2, 3, 4, 5].map((n) => `${city}${n}`))
const roles = ['web', 'db', 'app', 'cache', 'proxy', 'mail', 'build', 'backup', 'log', 'dns', 'ldap', 'queue']
const models = [
  ['PowerEdge', 'R650'],
  ['PowerEdge', 'R740xd'],
  ['ProLiant', 'DL380 Gen10'],
  ['ThinkSystem', 'SR650'],
  ['Catalyst', '9500-40X'],
  ['Nexus', '93180YC-FX'],
  ['Juniper', 'QFX5120-48Y'],
] as const
const platforms = ['Debian 12', 'Debian 13', 'Ubuntu 24.04', 'RHEL 9', 'Windows Server 2022', 'Hypervisor 8.0']
const purposes = [
  'customer database',
  'web shop frontend',
  'internal tooling',
  'monitoring of production',
  'file server',
  '',
]

/** The n-th asset of an estate that is the same in every run. */
function makeAsset(n: number): Observation {
  const random = seeded(n + 1)
  // Systems list what was rolled out together next to each other: a site at a time.
  const site = sites[Math.floor(n / 500) % sites.length] ?? ''
  const role = pick(roles, random)
  const share = n % 100
  const status = pick(
    ['active', 'active', 'active', 'active', 'active', 'active', 'offline', 'planned', 'failed'],
    random,
  )
  const address = `10.${random(256)}.${random(256)}.${1 + random(254)}`
  const number = String(n).padStart(6, '0')
  const common = { externalId: String(n), status, site, relations: [{ type: 'at', kind: 'site', externalId: site }] }
  const tenant = `tenant-${random(60)}`
  if (share < 25) {
    const [maker, model] = pick(models, random)
    const serial = `${pick(['CZ', 'JN', 'FDO', 'MX'], random)}${hex(8, random).toUpperCase()}`
    const attributes = {
      maker,
      model,
      role,
      tenant,
      rack: `R${random(40)}-${random(20)}`,
      position: random(42),
      platform: pick(platforms, random),
      asset_tag: `A${number}`,
      comment: pick(purposes, random),
      tags: ['production', role],
    }
    return {
      ...common,
      kind: 'device',
      name: `${pick(['srv', 'sw', 'fw', 'esx'], random)}-${site}-${role}-${number}`,
      serial,
      addresses: [`${address}/24`],
      attributes,
    }
  }
  if (share < 65) {
    const attributes = {
      role,
      tenant,
      platform: pick(platforms, random),
      vcpus: 1 + random(16),
      memory: 1024 * (1 + random(64)),
      cluster: `cluster-${random(400)}`,
      uuid: uuid(random),
      comment: pick(purposes, random),
      tags: [role],
    }
    return {
      ...common,
      kind: 'virtual-machine',
      name: `vm-${role}${random(90)}-${site}-${number}.example.net`,
      addresses: [`${address}/22`],
      attributes,
    }
  }
  if (share < 92) {
    return {
      ...common,
      kind: 'ip-address',
      name: `${address}/24`,
      addresses: [`${address}/24`],
      attributes: { dns_name: `${role}-${number}.${site}.example.net`, vrf: `vrf-${random(12)}`, tenant },
    }
  }
  if (share < 97)
    return {
      ...common,
      kind: 'prefix',
      name: `10.${random(256)}.${random(256)}.0/24`,
      addresses: [`10.${random(256)}.${random(256)}.0/24`],
      attributes: { vlan: random(4094), tenant },
    }
  return { ...common, kind: 'rack', name: `${site}-rack-${number}`, attributes: { height: 42, tenant } }
}

function device(random: Random, assets: number): number {
  return Math.floor(random(assets) / 100) * 100 + random(Math.min(25, assets))
}

function addressOf(random: Random, assets: number): string {
  const [address = ''] = makeAsset(device(random, assets)).addresses ?? []
  return address.replace(/\/.*/, '')
}

function partOf(name: string, random: Random): string {
  const from = 2 + random(4)
  return name.slice(from, from + 6 + random(8)).trim() || name
}

function pick<T>(from: readonly T[], random: Random): T {
  return from[random(from.length)]!
}

function hex(length: number, random: Random): string {
  return Array.from({ length }, () => random(16).toString(16)).join('')
}

function uuid(random: Random): string {
  return [8, 4, 4, 4, 12].map((length) => hex(length, random)).join('-')
}

/** Mulberry32: small, and the same on every machine. */
function seeded(seed: number): Random {
  let state = Math.imul(seed, 0x9e3779b1) >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

async function time(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await run()
  return performance.now() - start
}

function p95(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.95)] ?? 0
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
