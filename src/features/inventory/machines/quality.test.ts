import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Labelled,
  type LabelledSystem,
  labelledSystems,
  makeLabelled,
} from '../../../../simulators/lib/labelled.ts'
import { freshSqlite } from '../../../testing/databases.ts'
import { makeInventory } from '../inventory.ts'
import { inventoryMigrations } from '../migrations.ts'

for (const { seed, machines } of [
  { seed: 1, machines: 5_000 },
  { seed: 2, machines: 1_000 },
])
  test(`of ${machines} machines in five systems none is joined with another, and 95 % of what belongs together is`, async (t) => {
    const database = await freshSqlite(t, inventoryMigrations)
    const inventory = makeInventory({ database, subjectsOf: () => [], now: () => new Date() })
    const all = makeLabelled({ seed, machines })
    const labels = new Map(all.map((one) => [keyOf(one), one.label]))
    const apply = (system: LabelledSystem, given: readonly Labelled[], areGone = false) =>
      inventory.applyBatch({
        connectionId: `con_${system}`,
        connector: system,
        runId: 'r1',
        observations: areGone ? [] : given.map(({ observation }) => observation),
        gone: areGone ? given.map(({ observation }) => observation) : [],
      })
    // What is gone was there before; then the systems are synced at the same time, a page of one after a page of another.
    const past = all.filter(({ gone }) => gone)
    await apply('virtualization', past)
    await apply('virtualization', past, true)
    const present = Map.groupBy(
      all.filter(({ gone }) => !gone),
      ({ system }) => system,
    )
    for (let at = 0; at < all.length; at += 700)
      for (const system of labelledSystems) await apply(system, present.get(system)?.slice(at, at + 700) ?? [])

    const found = { right: 0, wrong: 0, wanted: 0, whole: 0 }
    const sizes = new Map<string, number>()
    for (const { label } of all) sizes.set(label, (sizes.get(label) ?? 0) + 1)
    for (const size of sizes.values()) found.wanted += pairs(size)
    const mixed: string[][] = []
    for await (const page of inventory.machineViews())
      for (const { assets } of page) {
        const own = assets.map(({ connector, externalId }) => labels.get(`${connector}/${externalId}`) ?? '')
        const counts = [...Map.groupBy(own, (label) => label).values()].map((same) => same.length)
        const right = counts.reduce((sum, count) => sum + pairs(count), 0)
        found.right += right
        found.wrong += pairs(own.length) - right
        if (counts.length === 1 && counts[0] === sizes.get(own[0] ?? '')) found.whole++
        if (counts.length > 1) mixed.push(own)
      }
    const precision = found.right / (found.right + found.wrong)
    const recall = found.right / found.wanted
    const whole = found.whole / sizes.size
    t.diagnostic(
      `${sizes.size} machines, ${all.length} assets: precision ${precision.toFixed(5)}, recall ${recall.toFixed(4)}, whole ${whole.toFixed(4)}`,
    )
    assert.deepEqual(mixed.slice(0, 5), [])
    assert.equal(precision, 1)
    assert.ok(recall >= 0.95, `recall ${recall}`)
  })

function keyOf({ system, observation }: Labelled): string {
  return `${system}/${observation.externalId}`
}

function pairs(count: number): number {
  return (count * (count - 1)) / 2
}
