import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import pg from 'pg'
import { makeEstate } from '../../simulators/lib/estate.ts'
import { startNetbox } from '../../simulators/netbox/start.ts'
import { freshPostgresUrl } from '../../src/testing/databases.ts'
import { type Atlas, newFolder, runAtlas, startAtlas } from '../../src/testing/server.ts'
import { dumpPostgres } from './dump.ts'
import {
  type Asset,
  assertLogVerifies,
  connect,
  counts,
  events,
  eventually,
  mcpClient,
  type Sync,
  search,
  sync,
} from './steps.ts'

// The same Atlas with its data in PostgreSQL.

const size = { seed: 21, devices: 72, vms: 40 }

test('on PostgreSQL: connected, synced, found over REST, MCP and the CLI, and the log verifies', async (t) => {
  const netbox = await startNetbox(size)
  t.after(netbox.stop)
  const atlas = await startAtlas(t, { env: { ATLAS_DATABASE_URL: await freshPostgresUrl(t) } })
  const connection = await connect(atlas, netbox, 'lab')
  const run = await sync(atlas, connection)
  const device = (await search(atlas, { kind: 'device', limit: '20' })).find(({ serial }) => serial)
  assert.ok(device?.serial)

  const byPart = await search(atlas, { q: device.name.slice(2, -1), limit: '200' })
  const bySerial = await search(atlas, { q: device.serial })
  const client = await mcpClient(t, atlas)
  const byAgent = await client.callTool({ name: 'inventory.assets.search', arguments: { q: device.name } })
  const byCli = await atlas.cli(['search', device.name, '--json'])

  assert.equal(run.state, 'succeeded')
  const { devices, vms, sites } = makeEstate(size).counts
  const found = await counts(atlas)
  assert.deepEqual([found['device'], found['virtual-machine'], found['site']], [devices, vms, sites])
  assert.ok(byPart.some(({ id }) => id === device.id))
  assert.deepEqual(
    bySerial.map(({ id }) => id),
    [device.id],
  )
  assert.ok((byAgent.structuredContent as { items: Asset[] }).items.some(({ id }) => id === device.id))
  assert.ok(JSON.parse(byCli.stdout).items.some(({ id }: Asset) => id === device.id))
  assert.ok(!existsSync(join(atlas.dataDir, 'atlas.db')), 'no second database beside it')
  await assertLogVerifies(t, atlas)
})

test('on PostgreSQL another root key is an unknown key, and nothing is written', async (t) => {
  const url = await freshPostgresUrl(t)
  const folder = newFolder(t)
  const first = await startAtlas(t, { folder, env: { ATLAS_DATABASE_URL: url } })
  await first.api('GET', '/me')
  assert.equal((await first.stop()).code, 0)
  const before = await dumpPostgres(url)

  const env = {
    ATLAS_PORT: '0',
    ATLAS_DATA_DIR: join(folder, 'data'),
    ATLAS_DATABASE_URL: url,
    ATLAS_SECRET_KEY: randomBytes(32).toString('base64'),
  }
  const refused = await runAtlas(['serve'], { folder, env })

  assert.equal(refused.code, 2)
  assert.match(refused.stderr, /^unknown key: /)
  assert.ok((await dumpPostgres(url)).equals(before))
  const elsewhere = newFolder(t)
  const { ATLAS_SECRET_KEY: _, ...noKey } = { ...env, ATLAS_DATA_DIR: join(elsewhere, 'data') }
  const lost = await runAtlas(['serve'], { folder: elsewhere, env: noKey })
  assert.deepEqual([lost.code, /^unknown key: /.test(lost.stderr)], [2, true])
  assert.ok(!existsSync(join(elsewhere, 'data/root.key')), 'no new key is left that opens nothing')
})

test('on PostgreSQL kill -9 during a sync and calls loses nothing that was answered', async (t) => {
  const url = await freshPostgresUrl(t)
  const folder = newFolder(t)
  const { before, netbox, connection } = await inTheMiddleOfASync(t, folder, url)
  const answered: string[] = []
  const callers = Array.from({ length: 50 }, async () => {
    for (;;) {
      const answer = await before.ask('GET', '/api/v1/assets?limit=1').catch(() => undefined)
      if (answer === undefined) return
      answered.push(answer.headers.get('x-request-id') ?? '')
    }
  })
  await eventually(async () => (answered.length > 100 ? true : undefined))
  await before.stop('SIGKILL')
  await Promise.all(callers)
  netbox.faults.planned.splice(0)

  await leaseRunsOut(url)
  const after = await startAtlas(t, { folder, env: { ATLAS_DATABASE_URL: url } })
  const states = await settled(after, connection)

  const ends = new Map((await events(after)).map(({ requestId, code }) => [requestId, code]))
  for (const requestId of answered) assert.equal(ends.get(requestId), 'action.succeeded')
  assert.deepEqual(states, ['succeeded', 'interrupted'])
  assert.equal((await counts(after))['device'], size.devices)
  await assertLogVerifies(t, after)
})

test('a run of a dead process that somebody cancelled is cancelled, and not taken up again', async (t) => {
  const url = await freshPostgresUrl(t)
  const folder = newFolder(t)
  const { before, netbox, connection, id } = await inTheMiddleOfASync(t, folder, url)
  await before.stop('SIGKILL')
  netbox.faults.planned.splice(0)

  // The dead process's lease still holds, so the run looks alive.
  const after = await startAtlas(t, { folder, env: { ATLAS_DATABASE_URL: url } })
  await after.api('POST', `/syncs/${id}/cancel`, {})
  await leaseRunsOut(url)

  assert.deepEqual(await settled(after, connection), ['cancelled'])
})

/** A server on `url` that is killed soon: its sync is slow and has read something. */
async function inTheMiddleOfASync(t: TestContext, folder: string, url: string) {
  const netbox = await startNetbox(size)
  t.after(netbox.stop)
  const before = await startAtlas(t, { folder, env: { ATLAS_DATABASE_URL: url } })
  const connection = await connect(before, netbox, 'lab', { pageSize: 10 })
  netbox.fault({ kind: 'slow', ms: 100, count: 1000, path: '/api/' })
  const { id } = await before.api<Sync>('POST', `/connections/${connection}/syncs`, { mode: 'auto' })
  await eventually(async () => ((await before.api<Sync>('GET', `/syncs/${id}`)).counts.read > 0 ? true : undefined))
  return { before, netbox, connection, id }
}

/** As if half a minute had passed: another process may be alive on the same database, so a run is taken over only then. */
async function leaseRunsOut(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`update sync_run set heartbeat_at = '2026-01-01T00:00:00.000Z' where state = 'running'`)
  await client.end()
}

/** The states of the connection's runs, newest first, when none is queued or running. */
function settled(atlas: Atlas, connection: string): Promise<string[]> {
  return eventually(async () => {
    const { items } = await atlas.api<{ items: Sync[] }>('GET', `/connections/${connection}/syncs`)
    const states = items.map(({ state }) => state)
    return states.some((state) => state === 'queued' || state === 'running') ? undefined : states
  })
}

test('an unreachable PostgreSQL ends the start with a sentence that does not show the password', async (t) => {
  const folder = newFolder(t)
  const env = {
    ATLAS_PORT: '0',
    ATLAS_DATA_DIR: join(folder, 'data'),
    ATLAS_DATABASE_URL: 'postgresql://atlas:canary-password@127.0.0.1:9/atlas',
  }

  const ended = await runAtlas(['serve'], { folder, env })

  assert.equal(ended.code, 1)
  assert.match(ended.stderr, /database does not answer \(ECONNREFUSED\)/)
  assert.doesNotMatch(ended.stdout + ended.stderr, /canary-password|^\s+at /m)
})

test('on PostgreSQL a start that is refused at its last step ends at once', async (t) => {
  const folder = newFolder(t)
  const env = {
    ATLAS_PORT: '0',
    ATLAS_DATA_DIR: join(folder, 'data'),
    ATLAS_DATABASE_URL: await freshPostgresUrl(t),
    ATLAS_DEFAULT_ADMIN_PASSWORD: 'administrator-2026',
  }

  const ended = await runAtlas(['serve'], { folder, env })

  assert.deepEqual([ended.code, ended.signal], [2, null])
  assert.match(ended.stderr, /too easy to guess/)
})
