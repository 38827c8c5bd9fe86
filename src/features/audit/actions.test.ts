import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { type Context, handlerOf } from '../../core/action.ts'
import { newId } from '../../lib/ids.ts'
import { leafHash, verifyInclusion } from '../../lib/merkle.ts'
import { openNote, parseCheckpoint, parseVkey } from '../../lib/signed-note.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import { auditActions } from './actions.ts'
import { openLog } from './log.ts'
import { auditMigrations } from './migrations.ts'

const ada = newId('usr')
const context: Context = {
  principal: { id: ada, kind: 'user', name: 'Ada', bindings: [], version: '1' },
  door: 'http',
  requestId: newId('req'),
  signal: new AbortController().signal,
}

async function setUp(database: Parameters<Parameters<typeof testOnEach>[2]>[0]) {
  const log = await openLog({ database, rootKey: testRootKey, now: fixedClock().now })
  const actions = new Map(auditActions({ log }).map((action) => [action.name, action]))
  const run = async (name: string, input: unknown) => {
    const action = actions.get(name)!
    return z.parse(action.output, await handlerOf(action).run(z.parse(action.input, input), context)) as never
  }
  for (let i = 0; i < 5; i++)
    await log.append({
      code: 'action.failed',
      principal: { id: ada, kind: 'user', name: 'Ada Example' },
      outcome: 'denied',
      resource: { type: 'connection', id: 'netbox-main' },
      detail: { remoteAddress: '192.0.2.7' },
    })
  return { log, actions, run }
}

testOnEach('the actions act on the audit log', auditMigrations, async (database) => {
  const { actions } = await setUp(database)

  assert.deepEqual(
    [...actions.values()].map(({ name, access, http }) => `${name} ${access} ${http.method} ${http.path}`),
    [
      'audit.events.search read GET /audit/events',
      'audit.events.follow read GET /audit/follow',
      'audit.principals.touched read GET /audit/touched/{principal}',
      'audit.events.get read GET /audit/events/{index}',
      'audit.events.prove read GET /audit/events/{index}/proof',
      'audit.log.verify read POST /audit/verify',
      'audit.log.read read GET /audit/checkpoint',
      'audit.log.status read GET /audit/status',
      'audit.clock.accept write POST /audit/clock',
      'audit.retention.get read GET /audit/retention',
      'audit.retention.apply destroy POST /audit/retention/apply',
      'audit.principals.forget destroy POST /audit/forget',
    ],
  )
  for (const action of actions.values())
    assert.deepEqual(handlerOf(action).resource({ index: 3 }), { type: 'audit', id: '*' })
})

testOnEach('a search answers events without their detail', auditMigrations, async (database) => {
  const { run } = await setUp(database)
  const { items, next } = (await run('audit.events.search', { principal: ada, limit: '2' })) as {
    items: unknown[]
    next: string
  }

  assert.equal(next, '3')
  assert.deepEqual(items[0], {
    index: 4,
    at: '2026-01-01T00:00:00.000Z',
    code: 'action.failed',
    principal: { id: ada, kind: 'user', name: 'Ada Example' },
    resource: { type: 'connection', id: 'netbox-main' },
    outcome: 'denied',
    personal: 'read',
  })
})

testOnEach('an event comes with a proof that a stranger can check', auditMigrations, async (database) => {
  const { run, log } = await setUp(database)
  const event = (await run('audit.events.get', { index: '2' })) as {
    entry: string
    leafHash: string
    proof: string[]
    checkpoint: string
    detail: unknown
  }
  const { size, root } = parseCheckpoint(openNote(Buffer.from(event.checkpoint), parseVkey(log.vkey)))
  const proof = event.proof.map((hash) => Buffer.from(hash, 'base64'))
  const leaf = leafHash(Buffer.from(event.entry))

  assert.deepEqual(event.detail, { remoteAddress: '192.0.2.7' })
  assert.equal(leaf.toString('base64'), event.leafHash)
  assert.ok(verifyInclusion(leaf, 2, size, proof, root))
  await assert.rejects(run('audit.events.get', { index: 5 }), { type: 'not-found' })
})

testOnEach('the log verifies itself, and hands out its checkpoint and key', auditMigrations, async (database) => {
  const { run, log } = await setUp(database)
  const checkpoint = await log.checkpoint()

  assert.deepEqual(await run('audit.log.read', {}), { checkpoint, vkey: log.vkey, fingerprint: log.fingerprint })
  assert.deepEqual(await run('audit.log.verify', {}), {
    ok: true,
    size: 5,
    signedSize: 5,
    rootHash: checkpoint.split('\n')[2],
    fingerprint: log.fingerprint,
  })
})

testOnEach('odd filters find nothing instead of failing', auditMigrations, async (database) => {
  const { run } = await setUp(database)
  for (const filter of [
    { principal: '\u0000' },
    { principal: '\ud800' },
    { action: "' or 1=1 --" },
    { code: '%' },
    { resource: 'connection/\u0000' },
    { resource: '/' },
    { outcome: '\u0000' },
  ])
    assert.deepEqual(await run('audit.events.search', filter), { items: [], next: null }, JSON.stringify(filter))
})

test('inputs that are not of the form are refused', () => {
  const [search, get] = auditActions({ log: {} as never })
  for (const input of [
    { limit: 0 },
    { limit: 201 },
    { cursor: '-1' },
    { cursor: '1e3' },
    { from: 'yesterday' },
    { from: '2026-01-01T00:00:00+01:00' },
    { principal: '' },
    { unknown: 1 },
  ])
    assert.ok(!z.safeParse(search!.input, input).success, JSON.stringify(input))
  for (const index of [-1, 1.5, 'x', 1e15, undefined])
    assert.ok(!z.safeParse(get!.input, { index }).success, String(index))
})
