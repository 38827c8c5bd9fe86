import assert from 'node:assert/strict'
import { test } from 'node:test'
import { usualPace, waitAfter } from './delivery.ts'

test('the wait after a failure doubles up to five minutes, is partly by chance, and never shorter than Retry-After', () => {
  const cases: [failures: number, retryAfter: number | undefined, least: number, most: number][] = [
    [0, undefined, 500, 1_000],
    [1, undefined, 1_000, 2_000],
    [5, undefined, 16_000, 32_000],
    [9, undefined, 150_000, 300_000],
    [1_000_000, undefined, 150_000, 300_000],
    [0, 120, 120_000, 120_000],
    [9, 1, 150_000, 300_000],
    [0, 86_400, 3_600_000, 3_600_000],
  ]
  for (const [failures, retryAfter, least, most] of cases) {
    const waits = Array.from({ length: 200 }, () => waitAfter(failures, retryAfter, usualPace))
    assert.ok(Math.min(...waits) >= least && Math.max(...waits) <= most, `${failures} failures: ${waits}`)
    assert.equal(new Set(waits).size > 1, least < most, `${failures} failures are not by chance`)
  }
})
