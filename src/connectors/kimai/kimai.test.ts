import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Observation } from '../../core/connector.ts'
import { upstream } from '../../testing/upstream.ts'
import { explain } from './explain.ts'
import { kimai } from './index.ts'
import { Timesheet } from './schema.ts'

const config = { url: 'https://time.example.net/kimai/', people: 'all', days: 30, pageSize: 2 } as const

test('A full sync asks exactly this and reports each thing with what is known of it', async (t) => {
  const context = upstream(
    t,
    import.meta.dirname,
    [
      { request: 'GET /api/users/me', reply: 'me.json', headers: { date: 'Thu, 26 Nov 2026 12:00:00 GMT' } },
      { request: 'GET /api/customers?visible=3', reply: 'customers.json' },
      { request: 'GET /api/projects?visible=3&ignoreDates=1', reply: 'projects.json' },
      { request: 'GET /api/activities?visible=3', reply: 'activities.json' },
      {
        request: 'GET /api/timesheets?user=all&begin=2026-10-26T12%3A00%3A00&orderBy=id&order=ASC&page=1&size=2',
        reply: 'timesheets.json',
        headers: { 'x-total-count': '2', 'x-total-pages': '1' },
      },
    ],
    { config },
  )
  const seen: Observation[] = []
  const steps = kimai.sync?.(context)
  let step = await steps?.next()
  for (; step && !step.done; step = await steps?.next()) seen.push(...(step.value.observations ?? []))

  assert.deepEqual(step?.value, { since: '2026-11-26T12:00:00.000Z' })
  assert.deepEqual(seen, [
    {
      kind: 'customer',
      externalId: '1',
      name: 'Acme',
      status: 'hidden',
      url: 'https://time.example.net/kimai/en/admin/customer/1/details',
      attributes: { number: 'OID-7', country: 'SI', currency: 'EUR', timeZone: 'Europe/Ljubljana', billable: true },
    },
    {
      kind: 'project',
      externalId: '2',
      name: 'Operations',
      status: 'visible',
      url: 'https://time.example.net/kimai/en/admin/project/2/details',
      attributes: { customer: 'Acme' },
      relations: [{ type: 'belongs-to', kind: 'customer', externalId: '1' }],
    },
    {
      kind: 'project',
      externalId: '3',
      name: 'Loose',
      status: 'visible',
      url: 'https://time.example.net/kimai/en/admin/project/3/details',
      attributes: {},
      relations: [],
    },
    {
      kind: 'activity',
      externalId: '5',
      name: 'Support',
      status: 'visible',
      url: 'https://time.example.net/kimai/en/admin/activity/5/details',
      attributes: { isGlobal: true },
      relations: [],
    },
    {
      kind: 'timesheet',
      externalId: '10',
      name: '1.5 h Operations, Support',
      status: 'stopped',
      attributes: {
        begin: '2026-11-20T07:00:00.000Z',
        end: '2026-11-20T08:30:00.000Z',
        durationSeconds: 5400,
        description: 'Patched ams1-web0001',
        project: 'Operations',
        customer: 'Acme',
        activity: 'Support',
        userId: '3',
        billable: true,
        tags: ['night'],
      },
      relations: [
        { type: 'spent-on', kind: 'project', externalId: '2' },
        { type: 'is-a', kind: 'activity', externalId: '5' },
      ],
    },
    {
      kind: 'timesheet',
      externalId: '11',
      name: 'timesheet 11',
      status: 'exported',
      attributes: { begin: '2026-11-26T11:30:00.000Z', userId: '3' },
      relations: [
        { type: 'spent-on', kind: 'project', externalId: '99' },
        { type: 'is-a', kind: 'activity', externalId: '98' },
      ],
    },
  ])
})

test('An incremental sync asks for what was modified, in UTC, and for the own times only when set so', async (t) => {
  const context = upstream(
    t,
    import.meta.dirname,
    [
      { request: 'GET /api/users/me', reply: 'me.json', headers: { date: 'Thu, 26 Nov 2026 12:00:00 GMT' } },
      { request: 'GET /api/customers?visible=3', reply: [] },
      { request: 'GET /api/projects?visible=3&ignoreDates=1', reply: [] },
      { request: 'GET /api/activities?visible=3', reply: [] },
      {
        request: 'GET /api/timesheets?modified_after=2026-11-26T09%3A55%3A00&orderBy=id&order=ASC&page=1&size=2',
        reply: [],
        headers: { 'x-total-count': '0', 'x-total-pages': '1' },
      },
    ],
    { config: { ...config, people: 'own' as const }, cursor: { since: '2026-11-26T10:00:00.000Z' } },
  )
  const batches = []
  for await (const batch of kimai.sync?.(context) ?? []) batches.push(batch)

  assert.deepEqual(batches, [])
})

const times: readonly (readonly [string, string | undefined])[] = [
  ['2026-11-20T08:00:00+0100', '2026-11-20T08:00:00+01:00'],
  ['2026-11-20T08:00:00-03:30', '2026-11-20T08:00:00-03:30'],
  ['2026-11-20T08:00:00Z', '2026-11-20T08:00:00Z'],
  ['2026-11-20 08:00', undefined],
  ['2026-13-20T08:00:00Z', undefined],
]
for (const [given, begin] of times) {
  test(`The time ${given} is ${begin ? 'read' : 'refused'}`, () =>
    assert.equal(Timesheet.safeParse({ id: 1, begin: given }).data?.begin, begin))
}

const faults = (children: object, errors?: readonly string[]) => ({
  code: 400,
  message: 'Validation Failed',
  errors: { ...(errors && { errors }), children },
})
const replies: readonly (readonly [number, unknown, string | undefined])[] = [
  [401, { code: 401, message: 'Unauthorized' }, 'Kimai does not accept the API token.'],
  [
    403,
    { code: 403, message: 'Forbidden' },
    'The Kimai account lacks a permission for this, or the entry is locked because it was exported.',
  ],
  [
    400,
    faults({ begin: { errors: ['secret'] }, end: {}, project: { errors: ['x'] } }),
    'Kimai refused the value of begin, project.',
  ],
  [400, faults({ 'a b<c>': { errors: ['x'] } }), 'Kimai refused the values.'],
  [
    400,
    faults({}, ['This form should not contain extra fields.']),
    'Kimai does not take one of the fields from this account, for example another user.',
  ],
  [400, { code: 400, message: 'Bad value at db01' }, 'Kimai refused a value.'],
  [500, { code: 500, message: 'Internal Server Error' }, undefined],
  [400, 'text', undefined],
]
for (const [status, body, meaning] of replies) {
  test(`A ${status} with ${JSON.stringify(body).slice(0, 60)} is understood (claims: D30)`, () =>
    assert.equal(explain(status, body), meaning))
}

const addresses: readonly (readonly [string, boolean])[] = [
  ['https://time.example.net', true],
  ['https://time.example.net/kimai', true],
  ['http://time.example.net', false],
  ['https://user@time.example.net', false],
]
for (const [url, isGood] of addresses) {
  test(`The address ${url} is ${isGood ? 'taken' : 'refused'} (claims: D11)`, () =>
    assert.equal(kimai.config.safeParse({ url }).success, isGood))
}
