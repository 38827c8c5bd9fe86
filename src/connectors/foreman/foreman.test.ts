import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Observation } from '../../core/connector.ts'
import { Secret } from '../../core/secret.ts'
import { type Exchange, upstream } from '../../testing/upstream.ts'
import { explain } from './explain.ts'
import { foreman } from './index.ts'
import { Audit, HostDetail, Page } from './schema.ts'
import { quoted, searchTime, utc } from './words.ts'

const config = { url: 'https://foreman.example.net/', pageSize: 1 }
const opening: Exchange = {
  request: 'GET /api/status',
  reply: { result: 'ok', status: 200, version: '3.13.0', api_version: 2 },
  headers: { date: 'Fri, 20 Nov 2026 12:00:00 GMT' },
}
const wanted = JSON.parse(
  readFileSync(join(import.meta.dirname, 'fixtures/observations.json'), 'utf8'),
) as Observation[]

async function run(context: Parameters<typeof foreman.sync & object>[0]) {
  const steps = foreman.sync?.(context)
  assert.ok(steps)
  const batches = []
  for (;;) {
    const step = await steps.next()
    if (step.done) return { batches, cursor: step.value }
    batches.push(step.value)
  }
}

test('A full sync reads hosts by key and keeps neither tokens nor parameters', async (t) => {
  const context = upstream(
    t,
    import.meta.dirname,
    [
      opening,
      { request: 'GET /api/hosts?search=id+%3E+0&order=id+ASC&page=1&per_page=1', reply: 'hosts-first.json' },
      { request: 'GET /api/hosts?search=id+%3E+88&order=id+ASC&page=1&per_page=1', reply: 'hosts-last.json' },
    ],
    { config },
  )

  const { batches, cursor } = await run(context)

  assert.deepEqual(batches, [
    { stage: 'hosts', total: 2, observations: [wanted[0]], full: true },
    { stage: 'hosts', total: 2, observations: [wanted[1]], full: true },
  ])
  assert.deepEqual(cursor, { since: '2026-11-20T12:00:00.000Z' })
})

test('An incremental sync asks the audits and then for reports, two minutes before the cursor', async (t) => {
  const time = '%222026-11-20+10%3A58%3A00+UTC%22'
  const audits = `/api/audits?search=type+%3D+host+and+time+%3E%3D+${time}&order=time+ASC`
  const audit = (id: number, action: string, host: number) => ({ id, action, auditable_id: host, audited_changes: {} })
  const context = upstream(
    t,
    import.meta.dirname,
    [
      opening,
      {
        request: 'GET /api/audits?search=type+%3D+host&order=time+ASC&page=1&per_page=1',
        reply: { subtotal: 0, results: [] },
      },
      { request: `GET ${audits}&page=1&per_page=1`, reply: { subtotal: 2, results: [audit(1, 'destroy', 77)] } },
      { request: `GET ${audits}&page=2&per_page=1`, reply: { subtotal: 2, results: [audit(2, 'update', 90)] } },
      {
        request: 'GET /api/hosts?search=id+%5E+%2890%29+and+id+%3E+0&order=id+ASC&page=1&per_page=1',
        reply: 'hosts-last.json',
      },
      {
        request: `GET /api/hosts?search=last_report+%3E%3D+${time}+and+id+%3E+0&order=id+ASC&page=1&per_page=1`,
        reply: { subtotal: 0, results: [] },
      },
    ],
    { config, cursor: { since: '2026-11-20T11:00:00.000Z' } },
  )

  const { batches } = await run(context)

  assert.deepEqual(batches, [
    { stage: 'changes', total: 2, gone: [{ kind: 'host', externalId: '77' }] },
    { stage: 'changes', total: 2, gone: [] },
    { stage: 'changed hosts', total: 1, observations: [wanted[1]] },
    { stage: 'hosts that reported', total: 0, observations: [] },
  ])
})

test('Tokens, parameters and the values in audits do not get past the schema', () => {
  const rows = JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures/hosts-first.json'), 'utf8')) as unknown
  const audit = { id: 1, action: 'update', auditable_id: 7, audited_changes: { root_pass: ['canary', 'canary'] } }
  const detail = { id: 7, name: 'h', parameters: [{ value: 'canary' }], token: 'canary', comment: 'kept' }

  assert.match(JSON.stringify(rows), /canary/)
  assert.doesNotMatch(JSON.stringify(Page(HostDetail).parse(rows)), /canary/)
  assert.deepEqual(Audit.parse(audit), { id: 1, action: 'update', auditable_id: 7 })
  assert.doesNotMatch(JSON.stringify(HostDetail.parse(detail)), /canary/)
})

test('Times are read as Foreman prints them, and only with their zone', () => {
  const cases = [
    ['2026-11-20 07:00:41 UTC', '2026-11-20T07:00:41.000Z'],
    ['2026-11-20 08:00:41 +0100', '2026-11-20T07:00:41.000Z'],
    ['2026-11-20T07:00:41.000Z', '2026-11-20T07:00:41.000Z'],
    ['2026-11-20T08:00:41+01:00', '2026-11-20T07:00:41.000Z'],
    ['2026-11-20 07:00:41', undefined],
    ['2026-13-45 07:00:41 UTC', undefined],
    ['yesterday', undefined],
    ['', undefined],
    [null, undefined],
  ] as const
  for (const [text, iso] of cases) assert.equal(utc(text), iso, String(text))
})

test('Words of a search are quoted', () => {
  assert.equal(quoted('a"b\\c'), '"a\\"b\\\\c"')
  assert.equal(searchTime(new Date('2026-11-20T07:00:41.900Z')), '"2026-11-20 07:00:41 UTC"')
})

test('The credential is sent as HTTP Basic, in UTF-8', () => {
  const request = { method: 'GET', target: '/', host: 'h', headers: {}, body: undefined, now: new Date(0) }
  const credential = { username: new Secret('jürgen'), token: new Secret('pat:with:colons') }

  assert.deepEqual(foreman.authenticate(credential, request, undefined), {
    authorization: 'Basic asO8cmdlbjpwYXQ6d2l0aDpjb2xvbnM=',
  })
})

test('A credential that cannot be one is refused', () => {
  const refused = [
    { username: 'a:b', token: 'long-enough' },
    { username: '', token: 'long-enough' },
    { username: 'atlas', token: 'short' },
    { username: 'atlas', token: 'two\r\nlines: x' },
    { username: 'atlas' },
  ]
  for (const credential of refused) assert.equal(foreman.credential.safeParse(credential).success, false)
})

const said = [
  [
    401,
    { error: { message: 'Unable to authenticate user secretname' } },
    /^Foreman does not know this login and token/,
  ],
  [401, { error: { message: 'Too many tries, please try again in a few minutes.' } }, /^Foreman blocks this server/],
  [401, '<html>', /^Foreman does not know/],
  [
    403,
    { error: { message: 'Access denied', missing_permissions: ['view_hosts', 'x; DROP'] } },
    /permissions: view_hosts\. Add/,
  ],
  [403, { message: 'Forbidden' }, /lacks a permission for this/],
  [404, { error: { message: "Resource host not found by id 'db01.secret.net'" } }, /^Foreman has no such thing/],
  [415, { error: { message: 'x' } }, /^Foreman takes JSON only/],
  [400, { error: { message: "Field 'id' not recognized for searching!" } }, /Foreman 2\.4 or later is needed/],
  [422, { error: { errors: { 'interfaces.ip': ['10.1.2.3 taken'] } } }, /not valid \(interfaces\.ip\)/],
  [500, { error: { message: 'Internal Server Error: PG::ConnectionBad: host 10.1.2.3' } }, /^Foreman failed inside/],
  [503, { error: { message: 'maintenance' } }, undefined],
  [200, { error: { message: 'x' } }, undefined],
  [502, 'Bad gateway', undefined],
] as const
test('Failures are told in our words, never with a value of theirs', () => {
  for (const [status, body, words] of said) {
    const outcome = explain(status, body)
    const text = typeof outcome === 'object' ? outcome.detail : outcome
    if (words === undefined) assert.equal(text, undefined, String(status))
    else assert.match(text ?? '', words)
    assert.doesNotMatch(text ?? '', /secret|10\.1\.2\.3|DROP/)
  }
})
