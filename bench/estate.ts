import { createSecretKey } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeCompany } from '../simulators/lib/company.ts'
import type { Truth } from '../simulators/lib/truth.ts'
import type { Observation } from '../src/core/connector.ts'
import { makeFindings } from '../src/features/inventory/findings/findings.ts'
import { type Inventory, makeInventory } from '../src/features/inventory/inventory.ts'
import { inventoryMigrations } from '../src/features/inventory/migrations.ts'
import { type Database, openPostgres, openSqlite } from '../src/lib/db/database.ts'
import { migrate } from '../src/lib/db/migrate.ts'
import { startPostgres } from '../src/testing/postgres.ts'
import { queriesOf } from './estate-queries.ts'
import { type Feed, feeds, sizesFor } from './estate-rows.ts'
import { note, type Print, quantile, round } from './line.ts'
import { watchMemory } from './memory.ts'

type Options = { readonly assets: number; readonly postgres: boolean }

/** One coherent company of ten connections: writing it, searching it, its machines, and findings over all of it. */
export async function benchEstate(print: Print, { assets, postgres }: Options): Promise<void> {
  const truth = makeCompany(sizesFor(assets))
  const folder = mkdtempSync(join(tmpdir(), 'atlas-bench-estate-'))
  const key = createSecretKey(Buffer.alloc(32, 9))
  const sqlite = openSqlite(join(folder, 'atlas.db'), key.export())
  try {
    await benchOne(sqlite, 'SQLite', truth, print)
  } finally {
    await sqlite.close()
    rmSync(folder, { recursive: true, force: true })
  }
  if (!postgres) return
  const server = await startPostgres({ durable: true })
  const database = openPostgres({ url: server.url })
  try {
    await benchOne(database, 'PostgreSQL', truth, print)
  } finally {
    await database.close()
    await server.stop()
  }
}

const now = () => new Date()

async function benchOne(database: Database, title: string, truth: Truth, print: Print): Promise<void> {
  await migrate(database, inventoryMigrations, now)
  const inventory = makeInventory({
    database,
    subjectsOf: (connector) => feeds.find((one) => one.connector === connector)?.subjects ?? [],
    now,
  })
  const memory = watchMemory()
  const before = process.cpuUsage()
  const written = await fill(inventory, truth)
  const cpu = process.cpuUsage(before)
  const assets = written.machineViews + written.others
  const say = (figure: string, value: number, unit: string) =>
    print({ figure: `estate: ${figure}, ${title}, ${assets.toLocaleString('en')} assets`, value: round(value), unit })
  say('written', assets / (written.machineSeconds + written.otherSeconds), 'assets/s')
  say('written, batches with machines', written.machineViews / written.machineSeconds, 'assets/s')
  say('written, batches without', written.others / written.otherSeconds, 'assets/s')
  // Moves less than the rates when neighbours use the machine. The making of the data is part of it (about 20 µs).
  say('processor time of this process for one asset', (cpu.user + cpu.system) / assets, 'µs')
  say('memory growth in the second half of writing', memory.stop(), 'MiB')
  await benchReads(inventory, truth, say)
  await benchFindings(database, inventory, say)
  await benchChanges(inventory, truth, say)
}

type Say = (figure: string, value: number, unit: string) => void

const batchSize = 1_000

/** As full runs do, one connection after the other. Only the writing is timed, not the making of the data. */
async function fill(inventory: Inventory, truth: Truth) {
  const sums = { machineViews: 0, machineSeconds: 0, others: 0, otherSeconds: 0 }
  for (const feed of feeds) {
    const before = sums.machineSeconds + sums.otherSeconds
    let count = 0
    const write = async (observations: Observation[]) => {
      const seconds = await apply(inventory, feed, 'run-1', observations)
      const hasMachines = observations.some(({ machine }) => machine)
      sums[hasMachines ? 'machineViews' : 'others'] += observations.length
      sums[hasMachines ? 'machineSeconds' : 'otherSeconds'] += seconds
      count += observations.length
    }
    let waiting: Observation[] = []
    for (const row of feed.rows(truth)) {
      waiting.push(row)
      if (waiting.length < batchSize) continue
      await write(waiting)
      waiting = []
    }
    if (waiting.length > 0) await write(waiting)
    sums.otherSeconds += await seconds(() => inventory.finishFullRun({ connectionId: feed.id, runId: 'run-1' }))
    const took = sums.machineSeconds + sums.otherSeconds - before
    note(`${feed.connector}: ${count} assets, ${Math.round(count / took)}/s`)
  }
  return sums
}

function apply(inventory: Inventory, { id, connector }: Feed, runId: string, observations: Observation[]) {
  return seconds(() => inventory.applyBatch({ connectionId: id, connector, runId, observations }))
}

const anything = { kinds: [], source: undefined, statuses: [], sites: [], stale: false }
const anyMachine = { site: undefined, form: undefined, connection: undefined, hasConflict: undefined, gone: false }

async function benchReads(inventory: Inventory, truth: Truth, say: Say): Promise<void> {
  const mix: Measured = { times: [], busy: [] }
  for (const [name, queries] of Object.entries(queriesOf(truth))) {
    const runs = queries.map(
      ({ text, ...narrow }) =>
        () =>
          inventory.search({ text, filter: { ...anything, ...narrow }, sort: 'relevance', limit: 50 }),
    )
    const { times, busy } = await measure(runs)
    mix.times.push(...times)
    mix.busy.push(...busy)
    say(`search p95, ${name}`, quantile(times, 0.95), 'ms')
  }
  say('search p95, the whole mix', quantile(mix.times, 0.95), 'ms')
  say('search p95, the whole mix, processor time of this process', quantile(mix.busy, 0.95), 'ms')

  const { vms, hypervisors } = truth.estate.counts
  const guests = [...Array(60).keys()].map((n) => truth.vm((n * 7_919) % vms).hostName)
  const hosts = [...Array(20).keys()].map((n) => truth.device(truth.estate.hypervisorDevice((n * 97) % hypervisors)))
  const search = (text: string) => () =>
    inventory.machines.search({ text, filter: anyMachine, limit: 50, cursor: undefined })
  say('machines search p95, by name', quantile((await measure(guests.map(search))).times, 0.95), 'ms')
  const common = await measure(['', 'web', 'prod', 'ams1'].map(search))
  say('machines search, slowest of all, web, prod, ams1', quantile(common.times, 1), 'ms')
  for (const [what, names] of [
    ['machine page', guests],
    // What hangs on a host is much more than what hangs on a virtual machine.
    ['machine page of a hypervisor', hosts.map(({ hostName }) => hostName)],
  ] as const) {
    const found = await Promise.all(names.map((name) => search(name)()))
    const ids = found.flatMap(({ items: [first] }) => first?.id ?? [])
    const { times, busy } = await measure(ids.map((id) => () => inventory.machines.get(id)))
    say(`${what} p50`, quantile(times, 0.5), 'ms')
    say(`${what} p95`, quantile(times, 0.95), 'ms')
    say(`${what} p95, processor time of this process`, quantile(busy, 0.95), 'ms')
  }
}

type Measured = { readonly times: number[]; readonly busy: number[] }

/** Runs everything once to warm up, then once more measured; milliseconds. `busy` is processor time of this process. */
async function measure(runs: readonly (() => Promise<unknown>)[]): Promise<Measured> {
  for (const run of runs) await run()
  const times: number[] = []
  const busy: number[] = []
  for (const run of runs) {
    const before = process.cpuUsage()
    times.push((await seconds(run)) * 1_000)
    const { user, system } = process.cpuUsage(before)
    busy.push((user + system) / 1_000)
  }
  return { times, busy }
}

async function benchFindings(database: Database, inventory: Inventory, say: Say): Promise<void> {
  const at = new Date().toISOString()
  const source = {
    machines: () => inventory.machineViews(),
    things: () => inventory.thingViews(),
    connections: async () =>
      feeds.map(({ id, connector, subjects }) => {
        return { id, connector, subjects, name: id, lastFullAt: at, lastSyncedAt: at }
      }),
  }
  const findings = makeFindings({ database, source, now })
  const memory = watchMemory()
  for (const which of ['first', 'second']) {
    let opened = 0
    const took = await seconds(async () => {
      opened = (await findings.evaluate(new AbortController().signal)).opened
    })
    say(`findings of everything, ${which} evaluation (${opened.toLocaleString('en')} opened)`, took, 's')
  }
  say('memory growth in the second evaluation', memory.stop(), 'MiB')
}

/** An incremental run of the virtualization: 1,000 machines were switched off, 100 of them got another address. */
async function benchChanges(inventory: Inventory, truth: Truth, say: Say): Promise<void> {
  const [, virtualization] = feeds
  if (!virtualization) return
  const changed: Observation[] = []
  for (const row of virtualization.rows(truth)) {
    if (row.kind !== 'virtual-machine' || row.facts?.power !== 'on') continue
    const isMoved = changed.length % 10 === 0
    const addresses = isMoved ? [`10.254.${changed.length >> 8}.${changed.length & 255}`] : row.addresses
    changed.push({ ...row, status: 'poweredoff', facts: { power: 'off' }, ...(addresses && { addresses }) })
    if (changed.length === 1_000) break
  }
  say('incremental run of 1,000 changes', await apply(inventory, virtualization, 'run-2', changed), 's')
}

async function seconds(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await run()
  return (performance.now() - start) / 1_000
}
