import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Observation } from '../../core/connector.ts'
import { upstream } from '../../testing/upstream.ts'
import { explain } from './explain.ts'
import { zammad } from './index.ts'
import { Found } from './schema.ts'

const config = { url: 'https://support.example.net/help/', days: 30, timeUnit: 'hours', pageSize: 2 } as const
const found = (first: number) =>
  `GET /api/v1/tickets/search?query=updated_at%3A%5B2026-10-27T12%3A00%3A00.000Z+TO+*%5D+AND+id%3A%5B${first}+TO+*%5D&sort_by=id&order_by=asc&expand=true&page=1&per_page=2&limit=2`

test('A full sync asks exactly this and reports each thing with what is known of it', async (t) => {
  const context = upstream(
    t,
    import.meta.dirname,
    [
      { request: 'GET /api/v1/users/me', reply: 'me.json', headers: { date: 'Thu, 26 Nov 2026 12:00:00 GMT' } },
      { request: 'GET /api/v1/tickets?page=1&per_page=1&expand=true', reply: 'tickets-first.json' },
      {
        request: 'GET /api/v1/tickets/search?query=id%3A1&expand=true&limit=1&per_page=1&page=1',
        reply: 'tickets-first.json',
      },
      { request: found(1), reply: 'tickets.json' },
      { request: 'GET /api/v1/tickets/41/time_accountings?expand=true', reply: 'time.json' },
      { request: found(43), reply: 'none.json' },
    ],
    { config },
  )
  const seen: Observation[] = []
  const steps = zammad.sync?.(context)
  let step = await steps?.next()
  for (; step && !step.done; step = await steps?.next()) seen.push(...(step.value.observations ?? []))

  assert.deepEqual(step?.value, { since: '2026-11-26T12:00:00.000Z' })
  assert.deepEqual(seen, [
    {
      kind: 'ticket',
      externalId: '41',
      name: 'Disk almost full on ams1-web0001',
      status: 'open',
      url: 'https://support.example.net/help/#ticket/zoom/41',
      attributes: {
        number: '60041',
        priority: '3 high',
        group: 'Infrastructure',
        customer: 'it@acme.example.com',
        organization: 'Acme',
        createdAt: '2026-11-20T07:00:00.000Z',
        updatedAt: '2026-11-25T09:00:00.000Z',
        articles: 2,
        timeUnits: 1.5,
        durationSeconds: 5400,
      },
      facts: { openedAt: '2026-11-20T07:00:00.000Z' },
    },
    {
      kind: 'ticket',
      externalId: '42',
      name: 'Half a ticket',
      url: 'https://support.example.net/help/#ticket/zoom/42',
      attributes: {
        number: '60042',
        createdAt: '2026-11-20T08:00:00.000Z',
        updatedAt: '2026-11-25T10:00:00.000Z',
      },
      facts: { openedAt: '2026-11-20T08:00:00.000Z' },
    },
    {
      kind: 'time-entry',
      externalId: '7',
      name: '1.5 hours on #60041 Disk almost full on ams1-web0001',
      url: 'https://support.example.net/help/#ticket/zoom/41',
      attributes: {
        ticket: '60041',
        activityId: '2',
        person: 'ana@example.net',
        personId: '3',
        customer: 'it@acme.example.com',
        organization: 'Acme',
        createdAt: '2026-11-25T09:00:00.000Z',
        timeUnits: 1.5,
        durationSeconds: 5400,
      },
      relations: [{ type: 'spent-on', kind: 'ticket', externalId: '41' }],
    },
  ])
})

test('A list of ids whose tickets are not beside it is not believed (claims: D30)', () => {
  assert.equal(Found.safeParse({ tickets: [41], assets: { Ticket: {} } }).success, false)
  assert.equal(Found.safeParse({ tickets: [], assets: {} }).success, true)
})

const replies: readonly (readonly [number, unknown, RegExp | undefined])[] = [
  [401, { error: 'Invalid token 12345 for bob' }, /does not accept the token/],
  [403, { error: 'Not authorized' }, /lacks a permission/],
  [422, { error: 'Title of secret ticket is wrong' }, /^Zammad refused the values\.$/],
  [500, { error: 'Error ID a1-B_2: Please contact your administrator.' }, /under a1-B_2\.$/],
  [500, { error: 'PG::Error at db01.example.net' }, undefined],
  [502, 'Bad gateway', undefined],
  [200, [], undefined],
]
for (const [status, body, meaning] of replies) {
  test(`A ${status} with ${JSON.stringify(body)} is understood (claims: D30)`, () => {
    const said = explain(status, body)
    if (meaning) assert.match(String(said), meaning)
    else assert.equal(said, undefined)
    assert.doesNotMatch(String(said), /bob|secret|db01/)
  })
}

const addresses: readonly (readonly [string, boolean])[] = [
  ['https://support.example.net', true],
  ['https://support.example.net/help', true],
  ['http://support.example.net', false],
  ['https://user@support.example.net', false],
  ['https://support.example.net/#login', false],
]
for (const [url, isGood] of addresses) {
  test(`The address ${url} is ${isGood ? 'taken' : 'refused'} (claims: D11)`, () =>
    assert.equal(zammad.config.safeParse({ url }).success, isGood))
}
