import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  classOf,
  type Keep,
  parseDetailRetention,
  parseEntryRetention,
  RetentionError,
  retentionConflict,
} from './retention-policy.ts'

test('a retention is a number of days, weeks or years, at least 90 days for entries', () => {
  const cases: [text: string, days: number | RegExp][] = [
    ['90d', 90],
    ['26w', 182],
    ['2y', 730],
    ['89d', /less than 90 days/],
    ['12w', /less than 90 days/],
    ['0d', /not a time such as/],
    ['0', /not a time such as/],
    ['90', /not a time such as/],
    ['90m', /not a time such as/],
    ['-1y', /not a time such as/],
    ['1.5y', /not a time such as/],
    ['off', /not a time such as/],
    ['none', /not a time such as/],
    ['100000d', /not a time such as/],
    ['', /not a time such as/],
  ]
  for (const [text, days] of cases)
    if (typeof days === 'number') assert.equal(parseEntryRetention(text), days)
    else assert.throws(() => parseEntryRetention(text), { constructor: RetentionError, message: days }, text)
})

test('details are kept by class, with a default for the others, at least 7 days', () => {
  const cases: [text: string, keep: Keep | RegExp][] = [
    ['read=90d', { read: 90 }],
    [' read=90d , sign-in=26w ', { read: 90, 'sign-in': 182 }],
    ['default=1y,read=7d', { read: 7, reveal: 365, write: 365, destroy: 365, 'sign-in': 365, system: 365 }],
    ['read=6d', /less than 7 days/],
    ['read=0d', /not a time/],
    ['reads=90d', /"reads=90d" is not a class and a time such as read=90d; the classes are read, reveal, write, /],
    ['read=90d,read=91d', /read is named twice/],
    ['read', /not a time/],
    ['read=90d=1', /is not a class and a time/],
    ['toString=90d', /is not a class and a time/],
    ['', /is not a class and a time/],
  ]
  for (const [text, keep] of cases)
    if (keep instanceof RegExp)
      assert.throws(() => parseDetailRetention(text), { constructor: RetentionError, message: keep }, text)
    else assert.deepEqual(parseDetailRetention(text), keep)
})

test('details cannot be kept longer than their entries', () => {
  assert.equal(retentionConflict({ read: 90, write: 4000 }), undefined)
  assert.equal(retentionConflict({ entries: 365, read: 90, write: 365 }), undefined)
  assert.equal(
    retentionConflict({ entries: 365, read: 90, write: 366 }),
    'the details of write would be kept 366 days, longer than their entries',
  )
})

test('every entry belongs to a class', () => {
  const cases: [code: string, access: string | undefined, name: string][] = [
    ['action.started', 'read', 'read'],
    ['action.succeeded', 'reveal', 'reveal'],
    ['action.failed', 'write', 'write'],
    ['action.asked', 'destroy', 'destroy'],
    ['action.failed', undefined, 'sign-in'],
    ['action.failed', 'sign-in', 'sign-in'],
    ['action.refused-again', undefined, 'sign-in'],
    ['auth.failed', undefined, 'sign-in'],
    ['login.succeeded', undefined, 'sign-in'],
    ['setup.started', undefined, 'sign-in'],
    ['webhook.refused', undefined, 'sign-in'],
    ['connection.tls-failed', 'read', 'system'],
    ['server.started', undefined, 'system'],
    ['log.gap', undefined, 'system'],
    ['anomaly.detected', undefined, 'system'],
  ]
  for (const [code, access, name] of cases) assert.equal(classOf({ code, ...(access && { access }) }), name, code)
})
