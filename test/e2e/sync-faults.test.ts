import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { makeCa } from '../../simulators/lib/ca.ts'
import type { FaultPlan } from '../../simulators/lib/faults.ts'
import { startNetbox } from '../../simulators/netbox/start.ts'
import { startAtlas } from '../../src/testing/server.ts'
import { type Asset, type Connection, connect, eventually, type Sync, search, sync } from './steps.ts'

// A connected system that misbehaves: its connection says what is wrong, the inventory stays as it was, others go on.

// One server and two systems for all of the file. Each test leaves both connections working.
const ca = makeCa('Faults CA')
const token = `nbt_faults.${'k'.repeat(40)}`
const size = { seed: 31, devices: 60, vms: 30, ca, token }
const atlas = await startAtlas({ after })
let netbox = await startNetbox(size)
const other = await startNetbox({ seed: 32, devices: 24, vms: 0 })
after(async () => {
  await netbox.stop()
  await other.stop()
})
const lab = await connect(atlas, netbox, 'lab', { pageSize: 20 })
const neighbour = await connect(atlas, other, 'neighbour')
for (const connection of [lab, neighbour]) assert.equal((await sync(atlas, connection)).state, 'succeeded')

type Case = { readonly fault: FaultPlan; readonly type: string; readonly says: RegExp }

// The run has read tenants, sites, racks and clusters when it comes to the devices.
const path = '/api/dcim/devices/'
const cases: Readonly<Record<string, Case>> = {
  'html instead of JSON': {
    fault: { kind: 'html', path },
    type: 'upstream-invalid',
    says: /sent html instead of JSON/,
  },
  'JSON cut in the middle': { fault: { kind: 'malformed', path }, type: 'upstream-invalid', says: /not valid JSON/ },
  'a connection that breaks inside every answer': {
    fault: { kind: 'reset', path, count: 20 },
    type: 'upstream-unreachable',
    says: /broke the network connection/,
  },
  'a connection that breaks before every answer': {
    fault: { kind: 'drop', path, count: 20 },
    type: 'upstream-unreachable',
    says: /broke the network connection/,
  },
  '503 again and again': { fault: { kind: '503', path, count: 20 }, type: 'upstream-busy', says: /answered 503/ },
  '429 that asks for ten minutes': {
    fault: { kind: '429', path, count: 20, retryAfter: 600 },
    type: 'upstream-busy',
    says: /answered 429/,
  },
  '500 once': { fault: { kind: '500', path }, type: 'upstream-failed', says: /answered 500/ },
  '403 for one kind of object': { fault: { kind: '403', path }, type: 'upstream-denied', says: /Reading devices/ },
  'a redirect to another host': { fault: { kind: 'redirect', path }, type: 'upstream-invalid', says: /not followed/ },
  'an answer without end': { fault: { kind: 'huge', path, ms: 40 }, type: 'upstream-invalid', says: /size limit/ },
  'a page that is sent twice': {
    fault: { kind: 'duplicate-page', path, count: 2 },
    type: 'upstream-invalid',
    says: /sent devices twice or out of order/,
  },
  'a page out of order': { fault: { kind: 'unsorted', path }, type: 'upstream-invalid', says: /out of order/ },
}

for (const [what, { fault, type, says }] of Object.entries(cases))
  test(`${what}: the connection says ${type}, the inventory is untouched, the other connection goes on`, async () => {
    const before = await assets()
    netbox.fault(fault)

    const [run, theirs] = await Promise.all([sync(atlas, lab, 'full'), sync(atlas, neighbour, 'full')])
    netbox.faults.planned.splice(0)

    await assertFailing(run, type, says)
    assert.equal(theirs.state, 'succeeded')
    assert.deepEqual(await assets(), before)
    await assertRecovers()
  })

test('a 429 with a short Retry-After, a 503 and a slow page are waited out', async () => {
  netbox.fault({ kind: '429', path, count: 2, retryAfter: 1 })
  netbox.fault({ kind: '503', path: '/api/dcim/racks/' })
  netbox.fault({ kind: 'slow', path: '/api/ipam/', ms: 500 })

  const run = await sync(atlas, lab, 'full')

  assert.deepEqual([run.state, run.counts.read], ['succeeded', (await assets(lab)).length])
})

test('rows that a page leaves out are asked for again', async () => {
  const before = await assets()
  netbox.fault({ kind: 'lost-rows', path })

  const run = await sync(atlas, lab, 'full')

  assert.deepEqual([run.state, run.counts.stale], ['succeeded', 0])
  assert.deepEqual(await assets(), before)
})

test('a token that NetBox does not take is told in a sentence for each reason', async () => {
  const before = await assets()
  const reasons: Record<string, RegExp> = {
    [netbox.tokens.disabled]: /token is disabled/,
    [netbox.tokens.expired]: /token has expired/,
    [netbox.tokens.inactive]: /user of this token is inactive/,
    [netbox.tokens.elsewhere]: /does not allow this server's address/,
    [`nbt_nobody.${'x'.repeat(40)}`]: /does not know this token/,
  }
  for (const [wrong, says] of Object.entries(reasons)) {
    await atlas.api('PATCH', `/connections/${lab}`, { credential: { token: wrong } })
    const check = await atlas.api<{ ok: boolean; problem?: { type: string } }>('POST', `/connections/${lab}/check`, {})
    assert.deepEqual([check.ok, check.problem?.type], [false, 'upstream-denied'])
    await assertFailing(await sync(atlas, lab, 'full'), 'upstream-denied', says)
  }
  const cli = await atlas.cli(['sync', 'lab', '--full'])
  assert.equal(cli.code, 1)
  assert.match(cli.stdout + cli.stderr, /upstream-denied: .*does not know this token/)
  assert.deepEqual(await assets(), before)

  await atlas.api('PATCH', `/connections/${lab}`, { credential: { token } })
  await assertRecovers()
})

test('a certificate of another authority is refused, and the token never reaches whoever shows it', async () => {
  const before = await assets()
  const change = (caCertificate: string) =>
    atlas.api('PATCH', `/connections/${lab}`, { caCertificate, credential: { token } })
  await change(makeCa('Somebody else').caPem)
  netbox.requests.splice(0)

  const run = await sync(atlas, lab, 'full')

  await assertFailing(run, 'upstream-untrusted', /authority that this connection does not trust/)
  assert.deepEqual(netbox.requests, [])
  assert.deepEqual(await assets(), before)
  await change(netbox.caPem)
  await assertRecovers()
})

test('a system that is gone is unreachable, and found again when it is back', async () => {
  const before = await assets()
  const { port } = new URL(netbox.url)
  await netbox.stop()

  const [run, theirs] = await Promise.all([sync(atlas, lab, 'full'), sync(atlas, neighbour, 'full')])

  await assertFailing(run, 'upstream-unreachable', /refused the network connection/)
  assert.equal(theirs.state, 'succeeded')
  assert.deepEqual(await assets(), before)
  netbox = await startNetbox({ ...size, port: Number(port) })
  await assertRecovers()
})

test('an incremental run reads only what changed, and what was deleted becomes stale', async () => {
  const before = await assets(lab)
  netbox.forward(3_600_000)
  const gone = netbox.remove(3)
  const added = netbox.add(2)
  const touched = netbox.touch(7)
  netbox.requests.splice(0)

  const run = await sync(atlas, lab, 'auto')

  const listed = netbox.requests.filter(({ items }) => items !== undefined)
  const read = listed.reduce((sum, { items = 0 }) => sum + items, 0)
  const { created, updated, gone: left, stale } = run.counts
  assert.deepEqual([run.state, run.full], ['succeeded', false])
  assert.deepEqual([run.counts.read, created, updated, left, stale], [9, 2, 7, 3, 0])
  // The 9 rows, the 3 deletions, and one row of the changelog to see how far back it goes.
  assert.ok(read <= 13, `${read} rows in ${listed.length} lists`)
  const now = await assets(lab)
  const live = now.filter(({ stale: isStale }) => !isStale)
  assert.equal(live.length, before.length - gone.length + added.length)
  assert.equal((await search(atlas, { q: 'touched', source: 'lab', limit: '200' })).length, touched.length)
  const staleNow = await search(atlas, { stale: 'true', source: 'lab', limit: '200' })
  assert.deepEqual([staleNow.length, new Set(staleNow.map(({ kind }) => kind))], [3, new Set(['device'])])

  netbox.forward(3_600_000)
  const { counts } = await sync(atlas, lab, 'auto')
  assert.deepEqual([counts.created, counts.updated, counts.gone], [0, 0, 0], 'nothing changed since')
})

test('what is added and deleted while it is read does no harm, and the next run has it all', async () => {
  netbox.fault({ kind: 'slow', ms: 60, count: 1000, path: '/api/' })
  const { id } = await atlas.api<Sync>('POST', `/connections/${lab}/syncs`, { mode: 'full' })
  await eventually(async () => ((await atlas.api<Sync>('GET', `/syncs/${id}`)).stage === 'devices' ? true : undefined))
  const gone = netbox.remove(6)
  netbox.add(4)
  const run = await eventually(async () => {
    const now = await atlas.api<Sync>('GET', `/syncs/${id}`)
    return now.state === 'running' ? undefined : now
  })
  netbox.faults.planned.splice(0)
  const next = await sync(atlas, lab, 'auto')

  assert.deepEqual([run.state, next.state, next.full], ['succeeded', 'succeeded', false])
  const devices = await search(atlas, { kind: 'device', source: 'lab', limit: '200' })
  assert.equal(devices.length, size.devices - 3 + 2 - gone.length + 4)
})

async function assertFailing(run: Sync, type: string, says: RegExp): Promise<void> {
  assert.deepEqual([run.state, run.problem?.type], ['failed', type], run.problem?.detail ?? '')
  assert.match(run.problem?.detail ?? '', says)
  assert.doesNotMatch(run.problem?.detail ?? '', /127\.0\.0\.1|https?:|nbt_|\n/)
  const { state, problem } = await atlas.api<Connection>('GET', `/connections/${lab}`)
  assert.deepEqual([state, problem?.type, problem?.detail], ['failing', type, run.problem?.detail])
}

async function assertRecovers(): Promise<void> {
  assert.equal((await sync(atlas, lab, 'auto')).state, 'succeeded')
  const { state, problem } = await atlas.api<Connection>('GET', `/connections/${lab}`)
  assert.deepEqual([state, problem], ['ok', null])
}

/** All assets, live and stale, without the times at which they were seen. */
async function assets(source?: string): Promise<Asset[]> {
  const all: Asset[] = []
  for (const stale of ['false', 'true'])
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const query = { stale, limit: '200', sort: 'name', ...(source && { source }), ...(cursor && { cursor }) }
      const page = await atlas.api<{ items: (Asset & { lastSeenAt: string })[]; next: string | null }>(
        'GET',
        `/assets?${new URLSearchParams(query)}`,
      )
      all.push(...page.items.map(({ lastSeenAt: _, ...asset }) => asset))
      cursor = page.next
    }
  return all.sort((a, b) => (a.id < b.id ? -1 : 1))
}
