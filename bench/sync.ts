import { spawn } from 'node:child_process'
import { createSecretKey, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { netbox as connector } from '../src/connectors/netbox/index.ts'
import type { Http } from '../src/core/connector.ts'
import { Secret } from '../src/core/secret.ts'
import { makeConnections } from '../src/features/connections/connections.ts'
import { connectionsMigrations } from '../src/features/connections/migrations.ts'
import { makeInventory } from '../src/features/inventory/inventory.ts'
import { inventoryMigrations } from '../src/features/inventory/migrations.ts'
import { vaultMigrations } from '../src/features/vault/migrations.ts'
import { makeVault } from '../src/features/vault/vault.ts'
import { openSqlite } from '../src/lib/db/database.ts'
import { migrate } from '../src/lib/db/migrate.ts'
import { makeHttp } from '../src/lib/http-client.ts'
import { watchMemory } from './memory.ts'

type Line = { figure: string; value: number; unit: string; against?: string; ratio?: number }
type Print = (line: Line) => void

/**
 * A whole sync of a simulated estate into an encrypted SQLite file, and an incremental one after 100 changes. The simulator
 * is another process; what reading it alone gives is measured first, by the same connector.
 */
export async function benchSync(print: Print, { devices = 20_000 }: { devices?: number } = {}): Promise<void> {
  const simulator = await startSimulator(devices)
  const folder = mkdtempSync(join(tmpdir(), 'atlas-bench-sync-'))
  const rootKey = createSecretKey(randomBytes(32))
  const database = openSqlite(join(folder, 'atlas.db'), rootKey.export())
  const now = () => new Date()
  try {
    await migrate(database, [...vaultMigrations, ...connectionsMigrations, ...inventoryMigrations], now)
    const vault = makeVault({ database, rootKey, now, onIntegrityFailure: () => {} })
    await vault.init()
    const connections = makeConnections({
      database,
      vault,
      inventory: makeInventory({ database, subjectsOf: () => connector.subjects, now }),
      connectors: [connector],
      httpFor: (options) => makeHttp({ ...options, allowLoopback: true, userAgent: 'atlas-bench', now }),
      allowLoopback: true,
      now,
      log: { info() {}, warn() {}, error() {} },
      onEvent: async () => {},
    })
    const { id } = await connections.add({
      connector: 'netbox',
      name: 'NetBox',
      config: { url: simulator.url },
      credential: { token: connections.credentialValue.parse(simulator.token) },
      caCertificate: simulator.caPem,
      schedule: null,
    })
    const sync = async (mode: 'auto' | 'full') => {
      const { id: run } = await connections.syncs.start(id, mode)
      const started = performance.now()
      const { counts, full } = await connections.syncs.run(run, new AbortController().signal)
      return { counts, full, seconds: (performance.now() - started) / 1000 }
    }

    const alone = await readAlone(simulator)
    const memory = watchMemory()
    const first = await sync('full')
    const growth = memory.stop()
    const rate = first.counts.created / first.seconds
    const against = `reading the simulator alone: ${Math.round(alone)} assets/s`
    print({
      figure: 'sync: full, all new',
      value: Math.round(rate),
      unit: 'assets/s',
      against,
      ratio: round(rate / alone),
    })
    print({ figure: 'sync: assets', value: first.counts.created, unit: 'assets' })
    print({
      figure: 'sync: memory growth',
      value: round(growth),
      unit: 'MiB',
      against: 'the first half of the same run',
    })

    const again = await sync('full')
    print({
      figure: 'sync: full, nothing changed',
      value: Math.round(again.counts.read / again.seconds),
      unit: 'assets/s',
    })
    await simulator.touch(100)
    const changes = await sync('auto')
    print({
      figure: 'sync: incremental, time',
      value: round(changes.seconds),
      unit: 's',
      against: '100 changed devices',
    })
    print({
      figure: 'sync: incremental, read',
      value: changes.counts.read,
      unit: 'assets',
      against: '100 changed devices',
    })
    await connections.close()
  } finally {
    await database.close()
    rmSync(folder, { recursive: true, force: true })
    await simulator.stop()
  }
}

type Simulator = Awaited<ReturnType<typeof startSimulator>>

async function startSimulator(devices: number) {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-bench-netbox-'))
  const main = join(import.meta.dirname, '../simulators/netbox/main.ts')
  const child = spawn(process.execPath, [main, '--devices', String(devices), '--ca-dir', folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const [line] = await Promise.race([
    createInterface({ input: child.stdout })
      [Symbol.asyncIterator]()
      .next()
      .then(({ value }) => [String(value)]),
    ended.then(() => ['']),
  ])
  if (!line) throw new Error('The simulator did not start')
  const { url, caFile, tokenFile, adminTokenFile } = JSON.parse(line) as Record<string, string>
  const text = (file = '') => readFileSync(file, 'utf8').trim()
  const caPem = readFileSync(caFile ?? '', 'utf8')
  return {
    url: String(url),
    caPem,
    token: text(tokenFile),
    touch: (count: number) => post(`${url}/__sim/touch?count=${count}`, caPem, text(adminTokenFile)),
    async stop() {
      child.kill()
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function post(url: string, ca: string, adminToken: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = request(url, { method: 'POST', ca, headers: { 'x-sim-admin': adminToken } }, (response) => {
      response.resume()
      response.once('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(`touch failed`))))
    })
    call.once('error', reject).end()
  })
}

/** Assets per second when the connector reads and nobody writes. */
async function readAlone({ url, caPem, token }: Simulator): Promise<number> {
  const client = makeHttp({
    url,
    caPem,
    sign: async (request) => ({ headers: connector.authenticate({ token: new Secret(token) }, request, undefined) }),
    allowLoopback: true,
    userAgent: 'atlas-bench',
    now: () => new Date(),
  })
  const http: Http = client.forCall()
  const config = connector.config.parse({ url })
  const signal = new AbortController().signal
  const started = performance.now()
  let count = 0
  for await (const { observations = [] } of connector.sync?.({ config, http, signal, now: () => new Date() }) ?? [])
    count += observations.length
  await client.close()
  return count / ((performance.now() - started) / 1000)
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
