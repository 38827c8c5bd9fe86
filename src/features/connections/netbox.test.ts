import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { makeCa } from '../../../simulators/lib/ca.ts'
import { type Netbox, startNetbox } from '../../../simulators/netbox/start.ts'
import { netbox as connector } from '../../connectors/netbox/index.ts'
import { Problem } from '../../core/problem.ts'
import type { Database } from '../../lib/db/database.ts'
import { freshSqlite, testOnEach } from '../../testing/databases.ts'
import { credentialOf, makeToyRoom, toyMigrations } from '../../testing/toy-system.ts'
import { makeInventory } from '../inventory/inventory.ts'
import { inventoryMigrations } from '../inventory/migrations.ts'

const migrations = [...toyMigrations, ...inventoryMigrations]
const never = new AbortController().signal

/** The whole way: simulator, connector, HTTP, this room, vault and inventory, nothing of it replaced. */
async function connected(t: TestContext, database: Database, options: { caPem?: string; token?: string } = {}) {
  const netbox = await startNetbox({ devices: 120, vms: 30 })
  t.after(() => netbox.stop())
  const inventory = makeInventory({ database, subjectsOf: () => [], now: () => new Date() })
  const { connections } = await makeToyRoom(t, database, {
    connectors: [connector],
    inventory,
    now: () => new Date(),
  })
  const { id } = await connections.add({
    connector: 'netbox',
    name: 'NetBox',
    config: { url: netbox.url, pageSize: 50 },
    credential: credentialOf(connections, { token: options.token ?? netbox.tokens.v2 }),
    caCertificate: options.caPem ?? netbox.caPem,
    schedule: null,
  })
  const sync = async (mode: 'auto' | 'full' = 'auto') => {
    const { id: run } = await connections.syncs.start(id, mode)
    await connections.syncs.run(run, never).catch((error: unknown) => {
      if (!(error instanceof Problem)) throw error
    })
    return connections.syncs.get(run)
  }
  const devices = async () => {
    const filter = { kinds: ['device'], source: undefined, statuses: [], sites: [], stale: false }
    const { total } = await inventory.search({ filter, sort: 'name', limit: 1 })
    return total
  }
  return { netbox, connections, inventory, id, sync, devices }
}

testOnEach('the whole estate is read, then only the changes, with deletions', migrations, async (database, t) => {
  const { netbox, sync, devices } = await connected(t, database)

  const first = await sync()
  assert.deepEqual([first.state, first.full, first.problem], ['succeeded', true, null])
  assert.equal(first.counts.created, first.counts.read)
  assert.equal(await devices(), 120)

  netbox.touch(5)
  netbox.remove(2)
  netbox.add(3)
  const second = await sync()
  assert.deepEqual([second.state, second.full], ['succeeded', false])
  assert.deepEqual([second.counts.created, second.counts.gone], [3, 2])
  assert.ok(second.counts.updated >= 3 && second.counts.updated <= 5, String(second.counts.updated))
  assert.equal(await devices(), 121)
})

type Trouble = (netbox: Netbox) => unknown
const troubles: readonly { readonly title: string; readonly trouble: Trouble; readonly gets: string }[] = [
  {
    title: 'html',
    trouble: (n) => n.fault({ kind: 'html', path: '/api/dcim/devices', count: 9 }),
    gets: 'upstream-invalid',
  },
  {
    title: 'malformed JSON',
    trouble: (n) => n.fault({ kind: 'malformed', path: '/api/dcim/devices', count: 9 }),
    gets: 'upstream-invalid',
  },
  {
    title: 'a reset in the middle of a body',
    trouble: (n) => n.fault({ kind: 'reset', path: '/api/dcim/devices', count: 9 }),
    gets: 'upstream-unreachable',
  },
  {
    title: 'a redirect to another origin',
    trouble: (n) => n.fault({ kind: 'redirect', path: '/api/dcim/devices', count: 9 }),
    gets: 'upstream-invalid',
  },
  {
    title: '429',
    trouble: (n) => n.fault({ kind: '429', path: '/api/dcim/devices', count: 9 }),
    gets: 'upstream-busy',
  },
  {
    title: '503',
    trouble: (n) => n.fault({ kind: '503', path: '/api/dcim/devices', count: 9 }),
    gets: 'upstream-busy',
  },
  {
    title: '500',
    trouble: (n) => n.fault({ kind: '500', path: '/api/dcim/devices', count: 9 }),
    gets: 'upstream-failed',
  },
  {
    title: 'a page that changes while it is read',
    trouble: (n) => n.fault({ kind: 'duplicate-page', path: '/api/dcim/devices', count: 9 }),
    gets: 'upstream-invalid',
  },
  { title: 'a permission that was taken away', trouble: (n) => n.deny('dcim/devices'), gets: 'upstream-denied' },
  { title: 'a system that is gone', trouble: (n) => n.stop(), gets: 'upstream-unreachable' },
]

for (const { title, trouble, gets } of troubles)
  test(`${title} is a clear outcome on the connection, and the earlier inventory stays`, async (t) => {
    const { netbox, connections, sync, devices } = await connected(t, await freshSqlite(t, migrations))
    await sync()
    await trouble(netbox)

    const run = await sync('full')
    assert.deepEqual([run.state, run.problem?.type], ['failed', gets])
    const { state, problem } = await connections.get('NetBox')
    assert.deepEqual([state, problem], ['failing', run.problem])
    assert.doesNotMatch(problem?.detail ?? '', /127\.0\.0\.1|nbt_|https?:|[<{]/)
    assert.equal(await devices(), 120)
  })

test('two times 503, then answers: the sync goes through', async (t) => {
  const { netbox, sync } = await connected(t, await freshSqlite(t, migrations))
  netbox.fault({ kind: '503', path: '/api/dcim/devices', count: 2 })
  assert.equal((await sync()).state, 'succeeded')
})

const wrong = [
  { title: 'a wrong token', options: { token: 'nbt_abcdefghijkl.wrongwrongwrong' }, gets: 'upstream-denied' },
  { title: 'a wrong CA', options: { caPem: makeCa('Another').caPem }, gets: 'upstream-untrusted' },
]

for (const { title, options, gets } of wrong)
  test(`${title} is said by the check and by the sync`, async (t) => {
    const { connections, sync, devices } = await connected(t, await freshSqlite(t, migrations), options)

    assert.equal((await connections.check('NetBox')).problem?.type, gets)
    const run = await sync()
    assert.deepEqual([run.state, run.problem?.type, await devices()], ['failed', gets, 0])
    assert.equal((await connections.get('NetBox')).state, 'failing')
  })

testOnEach('a removed connection takes its assets with it', migrations, async (database, t) => {
  const { connections, sync, devices } = await connected(t, database)
  await sync()
  await connections.remove('NetBox')
  assert.equal(await devices(), 0)
})
