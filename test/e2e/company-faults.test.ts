import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Atlas } from '../../src/testing/server.ts'
import { connectCompany } from './company-steps.ts'
import { type Sync, sync } from './steps.ts'

// For every system: what goes wrong while it is read is told on its connection, what was known stays, the others go on.

type Count = { connection: string; total: number; stale: number }
type Shown = { state: string; problem: { type: string; detail?: string } | null }

/** The fault, and what it may be told as: one that ends a session first can also be a failed sign-in. */
const faults: readonly (readonly [what: string, plan: { kind: string; retryAfter?: number }, told: RegExp])[] = [
  ['a sign-in page instead of an answer', { kind: 'html' }, /^upstream-invalid$/],
  ['an answer cut in the middle', { kind: 'malformed' }, /^upstream-invalid$/],
  ['a connection that breaks', { kind: 'reset' }, /^upstream-unreachable$/],
  ['503 that asks for ten minutes', { kind: '503', retryAfter: 600 }, /^upstream-busy$/],
]

test('a fault of any system is told on its connection, its assets stay, and the other connections go on', async (t) => {
  const { atlas, systems, ids, syncAll } = await connectCompany(t, 0)
  await syncAll('auto')
  const before = await counts(atlas)
  assert.equal(before.size, systems.length)

  for (const [at, { name, fault, faults: planned }] of systems.entries())
    await t.test(name, async () => {
      const id = ids.get(name) ?? ''
      // One kind of fault a system, in turn: the circuit breaker would answer for the system after a few.
      for (const [what, plan, told] of [faults[at % faults.length], faults[(at + 1) % faults.length]].flatMap((one) =>
        one ? [one] : [],
      )) {
        assert.equal(fault({ ...plan, count: 1000 }), undefined)
        const run = await sync(atlas, id, 'full')
        planned.planned.splice(0)

        assert.equal(run.state, 'failed', `${what}: ${JSON.stringify(run)}`)
        const shown = await atlas.api<Shown>('GET', `/connections/${id}`)
        assert.match(String(shown.problem?.type), told, `${what}: ${JSON.stringify(shown.problem)}`)
        assert.doesNotMatch(JSON.stringify(shown.problem), /127\.0\.0\.1|<html|at \w+ \(/)
        assert.deepEqual(await counts(atlas), before, what)
      }
      const other = systems[(at + 1) % systems.length]?.name ?? ''
      assert.equal((await sync(atlas, ids.get(other) ?? '', 'auto')).state, 'succeeded', `${other} goes on`)
    })

  for (const [name, id] of ids) {
    const run: Sync = await sync(atlas, id, 'full')
    assert.equal(run.state, 'succeeded', `${name} is read again: ${JSON.stringify(run)}`)
  }
  assert.deepEqual(await counts(atlas), before)
})

async function counts(atlas: Atlas): Promise<Map<string, [total: number, stale: number]>> {
  const { connections } = await atlas.api<{ connections: Count[] }>('GET', '/inventory/summary')
  return new Map(connections.map(({ connection, total, stale }) => [connection, [total, stale]]))
}
