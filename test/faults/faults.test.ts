import assert from 'node:assert/strict'
import { auditMigrations } from '../../src/features/audit/migrations.ts'
import { checkLog } from '../../src/testing/check-log.ts'
import { testOnEach, testRootKey } from '../../src/testing/databases.ts'
import { seeded, strike } from './harness.ts'

// `npm run test:faults` does the same ten thousand times. Another seed: ATLAS_FAULT_SEED.
const count = Number(process.env['ATLAS_FAULTS'] ?? 250)
const seed = Number(process.env['ATLAS_FAULT_SEED'] ?? Date.now() % 1_000_000)

testOnEach(
  `${count} random faults with seed ${seed}: no effect and no answer without its entry (AUD-1)`,
  auditMigrations,
  async (db, t) => {
    const report = await strike(db, count, seeded(seed))

    const { struck, effects, answers, refused } = report
    assert.ok(refused > 0 && answers > 0, JSON.stringify(report))
    for (const kind of [
      'before the transaction',
      'inside the transaction',
      'at the commit',
      'after the commit',
      'read-only',
    ])
      assert.ok((struck[kind] ?? 0) > 0, `${kind} never struck: ${JSON.stringify(struck)}`)
    await checkLog(db, testRootKey)
    t.diagnostic(
      `${count} faults (${JSON.stringify(struck)}), ${effects} effects, ${answers} answers, ${refused} refused`,
    )
  },
)
