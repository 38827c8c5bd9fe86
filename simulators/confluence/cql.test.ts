import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeCompany } from '../lib/company.ts'
import { parseCql } from './cql.ts'
import { makeRows } from './rows.ts'

const now = new Date('2026-11-20T12:00:00Z')
const row = makeRows(makeCompany({ devices: 24, vms: 10, now }), 1).row(98_306) ?? assert.fail()
const page = { ...row, modifiedAt: new Date('2026-11-20T10:00:59Z') }

const dates: readonly (readonly [string, number, boolean])[] = [
  ['lastmodified >= "2026-11-20 10:00"', 0, true],
  ['lastmodified >= "2026-11-20 10:01"', 0, false],
  ['lastmodified >= "2026-11-20 15:00"', 5, true],
  ['lastmodified >= "2026-11-20 15:01"', 5, false],
  ['lastmodified >= now("-2h")', 0, true],
  ['lastmodified >= now("-90m")', 0, false],
]
for (const [cql, utcOffsetHours, isHit] of dates) {
  test(`${cql} at UTC+${utcOffsetHours} is read by the minute, in the zone of the account`, () => {
    assert.equal(parseCql(cql, { now, utcOffsetHours })?.matches(page), isHit)
  })
}

test('What CQL does not know, or does not close, cannot be parsed', () => {
  for (const text of [
    '',
    'type',
    'colour = red',
    'type = "page',
    '(type = page',
    'space in ("A" "B")',
    'lastmodified >= "soon"',
  ])
    assert.equal(parseCql(text, { now, utcOffsetHours: 0 }), undefined, text)
})

test('Quoted words may hold anything', () => {
  const parsed = parseCql('space in ("O\\"PS","A) and (B") and label = "runbook"', { now, utcOffsetHours: 0 })

  assert.deepEqual([parsed?.spaces, parsed?.matches(page)], [['O"PS', 'A) and (B'], true])
})
