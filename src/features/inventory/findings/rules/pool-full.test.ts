import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testRule, thing, verdictOf, witness } from '../testing.ts'
import { poolFull } from './pool-full.ts'

testRule(poolFull, [
  ['86 percent', { thing: thing('storage-pool', 'storage', { usedPercent: 86 }) }, true],
  ['85 percent', { thing: thing('storage-pool', 'storage', { usedPercent: 85 }) }, false],
  ['another threshold', { thing: thing('pool', 'storage', { usedPercent: 85 }) }, true, { settings: { percent: 80 } }],
  ['a datastore', { thing: thing('datastore', 'virtualization', { usedPercent: 90 }) }, true],
  ['a volume is given to be filled', { thing: thing('volume', 'storage', { usedPercent: 100 }) }, false],
  ['a pool that does not say', { thing: thing('pool', 'storage') }, false],
  [
    'no storage connection',
    { thing: thing('pool', 'storage', { usedPercent: 99 }) },
    false,
    { connections: [witness('time')] },
  ],
])

test('pool-full: critical from 95 percent; the evidence is in whole percents', () => {
  const verdict = (usedPercent: number) => verdictOf(poolFull, { thing: thing('pool', 'storage', { usedPercent }) })
  assert.deepEqual(verdict(94.9), { severity: 'high', says: ['storage: 94 % used'] })
  assert.deepEqual(verdict(95.4), { severity: 'critical', says: ['storage: 95 % used'] })
})
