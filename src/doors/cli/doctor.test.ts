import assert from 'node:assert/strict'
import { test } from 'node:test'
import { auditHealth, backupHealth, compareClock, showChecks, sinkHealth } from './doctor.ts'

test('a clock is compared in both directions, and the second that a header cannot say does not count', () => {
  const here = Date.parse('2026-11-26T12:00:00.000Z')
  const cases: [seconds: number, state: string, says: RegExp][] = [
    [-1, 'ok', /^as on this machine$/],
    [-6, 'warn', /6 s behind/],
    [59, 'warn', /59 s ahead of/],
    [-61, 'fail', /NTP/],
    [Number.NaN, 'warn', /does not say its time/],
  ]
  for (const [seconds, state, says] of cases) {
    const result = compareClock(here + seconds * 1000, here)
    assert.equal(result.state, state, String(seconds))
    assert.match(result.detail, says)
  }
})

test('each check is one line with its sign', () => {
  const text = showChecks([
    { check: 'server', state: 'ok', detail: 'ready' },
    { check: 'log', state: 'warn', detail: 'not checked' },
    { check: 'token', state: 'fail', detail: 'expired' },
  ])
  assert.equal(text, '✔ server  ready\n! log     not checked\n✖ token   expired')
})

test('the audit log fares ill when the clock is behind or a witness does not cosign', () => {
  const witness = { name: 'w1', size: 3, at: '2026-11-26T12:00:00.000Z', fault: null }
  const cases: [status: Parameters<typeof auditHealth>[0], state: string, says: RegExp][] = [
    [{ clockBehindSeconds: 0, witnesses: [] }, 'ok', /^none configured$/],
    [{ clockBehindSeconds: 10, witnesses: [witness] }, 'ok', /^1 cosigned$/],
    [{ clockBehindSeconds: 11, witnesses: [witness] }, 'fail', /11 s behind .* atlas audit accept-clock$/],
    [
      { clockBehindSeconds: 0, witnesses: [witness, { ...witness, name: 'w2', fault: 'no answer' }] },
      'fail',
      /^w2: no answer$/,
    ],
  ]
  for (const [status, state, says] of cases) {
    const result = auditHealth(status)
    assert.equal(result.state, state, String(says))
    assert.match(result.detail, says)
  }
})

test('backups fare ill when the newest failed, planned ones were missed, or there is none and none is planned (claims: A27)', () => {
  const now = Date.parse('2026-11-26T12:00:00.000Z')
  const made = {
    items: [{ state: 'ready' }],
    schedule: '0 2 * * *',
    isLate: false,
    lastMadeAt: '2026-11-26T02:00:00.000Z',
  }
  const failed = { state: 'failed', problem: 'The disk is full' }
  const cases: [answer: Parameters<typeof backupHealth>[0], state: string, says: RegExp][] = [
    [made, 'ok', /^the last one was made .*\(10 hours ago\); planned: 0 2 \* \* \*$/],
    [{ ...made, isLate: true }, 'warn', /10 hours ago\), and planned ones were missed .* atlas backup$/],
    [
      { ...made, items: [failed, ...made.items] },
      'warn',
      /^the newest one failed: The disk is full; the last one was made/,
    ],
    [{ ...made, schedule: null }, 'ok', /none is planned/],
    [{ items: [], schedule: '0 2 * * *', isLate: false, lastMadeAt: null }, 'ok', /^none was made yet; planned/],
    [{ items: [], schedule: null, isLate: false, lastMadeAt: null }, 'warn', /ATLAS_BACKUP_SCHEDULE/],
  ]
  for (const [answer, state, says] of cases) {
    const result = backupHealth(answer, now)
    assert.equal(result.state, state, String(says))
    assert.match(result.detail, says)
  }
})

test('sinks that fail or lag are worth a look, and nothing fails for them', () => {
  const sink = { name: 's3', lagEntries: 0, lagSeconds: 0, fault: null, isStopped: false }
  const cases: [sinks: (typeof sink | Record<string, unknown>)[], state: string, says: RegExp][] = [
    [[], 'ok', /^none configured$/],
    [[sink, { ...sink, name: 'syslog', lagEntries: 3, lagSeconds: 290 }], 'ok', /^s3, syslog up to date$/],
    [[{ ...sink, lagEntries: 3, lagSeconds: 901 }], 'warn', /^s3 is 3 entries and 901 s behind/],
    [[{ ...sink, fault: 'The receiver answered 503' }], 'warn', /^s3: The receiver answered 503, 0 entries/],
    [[{ ...sink, fault: 'It answered 410', isStopped: true }], 'warn', /^s3 refused for good \(It answered 410\)/],
  ]
  for (const [sinks, state, says] of cases) {
    const result = sinkHealth({ sinks })
    assert.equal(result.state, state, String(says))
    assert.match(result.detail, says)
  }
})
