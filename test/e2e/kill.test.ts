import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeEstate } from '../../simulators/lib/estate.ts'
import { addressCount } from '../../simulators/netbox/addresses.ts'
import { startNetbox } from '../../simulators/netbox/start.ts'
import { type Atlas, newFolder, startAtlas } from '../../src/testing/server.ts'
import {
  type AuditEvent,
  assertLogVerifies,
  type Connection,
  connect,
  counts,
  events,
  eventually,
  type Sync,
  search,
  sync,
} from './steps.ts'

// The process is gone from one instruction to the next. What it had answered must be true afterwards.

test('kill -9 during a sync: after the restart the run is taken up again and the inventory becomes complete', async (t) => {
  const size = { seed: 11, devices: 600, vms: 300 }
  const netbox = await startNetbox(size)
  t.after(netbox.stop)
  const folder = newFolder(t)
  const before = await startAtlas(t, { folder })
  const connection = await connect(before, netbox, 'lab', { pageSize: 50 })
  // Each page takes a moment, so that the kill falls into the middle.
  netbox.fault({ kind: 'slow', ms: 60, count: 10_000, path: '/api/' })
  const { id } = await before.api<Sync>('POST', `/connections/${connection}/syncs`, { mode: 'auto' })
  await eventually(async () => {
    const run = await before.api<Sync>('GET', `/syncs/${id}`)
    return run.counts.created >= 500 ? true : undefined
  })
  const acknowledged = requestIds(before)
  await before.stop('SIGKILL')
  netbox.faults.planned.splice(0)

  const after = await startAtlas(t, { folder })
  const runs = await eventually(async () => {
    const { activeSync } = await after.api<Connection>('GET', `/connections/${connection}`)
    const { items } = await after.api<{ items: Sync[] }>('GET', `/connections/${connection}/syncs`)
    return activeSync === null && items.length === 2 ? items : undefined
  })

  assert.deepEqual(
    runs.map(({ state, full }) => [state, full]),
    [
      ['succeeded', true],
      ['interrupted', true],
    ],
  )
  assert.deepEqual(await counts(after), wholeOf(size))
  const total = Object.values(wholeOf(size)).reduce((sum, count) => sum + count, 0)
  assert.ok((runs[1]?.counts.read ?? total) < total, 'the kill fell into the run')
  const { length: stale } = await search(after, { stale: 'true' })
  assert.equal(stale, 0)
  await assertComplete(after, acknowledged)
  await assertLogVerifies(t, after)
})

test('kill -9 during an incremental sync loses no change and no deletion', async (t) => {
  const netbox = await startNetbox({ seed: 12, devices: 120, vms: 0 })
  t.after(netbox.stop)
  const folder = newFolder(t)
  const before = await startAtlas(t, { folder })
  const connection = await connect(before, netbox, 'lab', { pageSize: 5 })
  assert.equal((await sync(before, connection)).state, 'succeeded')
  netbox.forward(3_600_000)
  const gone = netbox.remove(10)
  const touched = netbox.touch(40)
  netbox.fault({ kind: 'slow', ms: 60, count: 10_000, path: '/api/' })
  const { id } = await before.api<Sync>('POST', `/connections/${connection}/syncs`, { mode: 'auto' })
  await eventually(async () => {
    const { counts: done } = await before.api<Sync>('GET', `/syncs/${id}`)
    return done.read >= 5 ? true : undefined
  })
  await before.stop('SIGKILL')
  netbox.faults.planned.splice(0)

  const after = await startAtlas(t, { folder })
  await eventually(async () => {
    const { activeSync, state } = await after.api<Connection>('GET', `/connections/${connection}`)
    return activeSync === null && state === 'ok' ? true : undefined
  })

  const { items: runs } = await after.api<{ items: Sync[] }>('GET', `/connections/${connection}/syncs`)
  assert.deepEqual(
    runs.map(({ state }) => state),
    ['succeeded', 'interrupted', 'succeeded'],
  )
  assert.equal((await counts(after))['device'], 110)
  const stale = await search(after, { stale: 'true', kind: 'device', limit: '200' })
  assert.equal(stale.length, gone.length)
  const changed = await search(after, { q: 'touched', kind: 'device', limit: '200' })
  assert.equal(changed.length, touched.length)
})

test('kill -9 during 200 concurrent MCP calls, twice: what was answered is in the log, and the log verifies', async (t) => {
  const netbox = await startNetbox({ seed: 13, devices: 24, vms: 0 })
  t.after(netbox.stop)
  const folder = newFolder(t)
  let acknowledged: string[] = []
  for (const round of [1, 2]) {
    const atlas = await startAtlas(t, { folder })
    if (round === 1) assert.equal((await sync(atlas, await connect(atlas, netbox, 'lab'))).state, 'succeeded')
    const calls = callUntilDead(atlas)
    await eventually(async () => (calls.answered.length >= 400 ? true : undefined))
    await atlas.stop('SIGKILL')
    await calls.ended
    acknowledged = [...acknowledged, ...calls.answered]
  }

  const after = await startAtlas(t, { folder })

  await assertComplete(after, acknowledged)
  const log = await events(after)
  const started = log.filter(({ code, action }) => code === 'action.started' && action === 'netbox.journal.add')
  const written = netbox.requests.filter(({ method, status }) => method === 'POST' && status === 201)
  assert.ok(written.length > 0)
  assert.ok(written.length <= started.length, 'nothing was done to NetBox that the log does not have')
  await assertLogVerifies(t, after)
})

/** 200 callers, each with one call after the other, every tenth of them writing to NetBox; until no answer comes. */
function callUntilDead(atlas: Atlas): { answered: string[]; ended: Promise<unknown> } {
  const answered: string[] = []
  const caller = async (number: number) => {
    const [name, input] =
      number % 10 === 0
        ? ['netbox.journal.add', { connection: 'lab', kind: 'device', id: '1', comment: `Note ${number}.` }]
        : ['inventory.assets.search', { limit: 2 }]
    for (let id = 1; ; id++) {
      const body = { jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: input } }
      const headers = { accept: 'application/json, text/event-stream' }
      const answer = await atlas.ask('POST', '/mcp', { body, headers }).catch(() => undefined)
      if (answer === undefined) return
      assert.match(answer.text, /"structuredContent"/)
      if (!/"isError":true/.test(answer.text)) answered.push(answer.headers.get('x-request-id') ?? '')
    }
  }
  return { answered, ended: Promise.all(Array.from({ length: 200 }, (_, number) => caller(number))) }
}

/** The ids of the requests that were answered with success through the gate. */
function requestIds({ answers }: Atlas): string[] {
  return answers
    .filter(({ request, status }) => status === 200 && /^\S+ \/api\/v1\/(?!audit)/.test(request))
    .map(({ text }) => /"x-request-id","(\w+)"/.exec(text)?.[1] ?? '')
}

/** Each of these calls has exactly its start and its success in the log, in this order. */
async function assertComplete(atlas: Atlas, acknowledged: readonly string[]): Promise<void> {
  const byRequest = new Map<string, AuditEvent[]>()
  for (const event of await events(atlas)) {
    if (event.requestId === undefined) continue
    byRequest.set(event.requestId, [...(byRequest.get(event.requestId) ?? []), event])
  }
  assert.ok(acknowledged.length > 0)
  for (const requestId of acknowledged)
    assert.deepEqual(
      byRequest.get(requestId)?.map(({ code }) => code),
      ['action.started', 'action.succeeded'],
      `the request ${requestId}`,
    )
}

function wholeOf(size: { seed: number; devices: number; vms: number }): Record<string, number> {
  const estate = makeEstate(size)
  const { sites, racks, clusters, devices, vms, subnets, tenants } = estate.counts
  return {
    cluster: clusters,
    device: devices,
    'ip-address': addressCount(estate),
    prefix: subnets,
    rack: racks,
    site: sites,
    tenant: tenants,
    'virtual-machine': vms,
  }
}
