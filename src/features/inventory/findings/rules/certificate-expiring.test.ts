import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ago, testRule, thing, verdictOf, witness } from '../testing.ts'
import { certificateExpiring } from './certificate-expiring.ts'

const ends = (days: number) => ({ connection: witness('registry', { certificateExpiresAt: ago(-days * 24) }) })

testRule(certificateExpiring, [
  ['ends in 29 days', ends(29), true],
  ['ends in 31 days', ends(31), false],
  ['another threshold', ends(31), true, { settings: { days: 40 } }],
  ['no certificate', { connection: witness('registry') }, false],
  [
    'a certificate that a system keeps',
    { thing: thing('certificate', 'configuration', { expiresAt: ago(-24) }) },
    true,
  ],
  ['one that does not say', { thing: thing('certificate', 'configuration') }, false],
  ['another thing that expires', { thing: thing('snapshot', 'virtualization', { expiresAt: ago(-24) }) }, false],
])

test('certificate-expiring: critical once it has ended', () => {
  assert.deepEqual(verdictOf(certificateExpiring, ends(-1)), {
    severity: 'critical',
    says: [`atlas: certificate ends ${ago(24)}`],
  })
})
