import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { z } from 'zod'
import { type Context, handlerOf } from '../../../core/action.ts'
import { Problem } from '../../../core/problem.ts'
import type { Database } from '../../../lib/db/database.ts'
import { jsonSchemaOf } from '../../../lib/json-schema.ts'
import { fixedClock, freshSqlite, testOnEach } from '../../../testing/databases.ts'
import type { MachineView } from '../machines/view.ts'
import { inventoryMigrations } from '../migrations.ts'
import { findingActions } from './actions.ts'
import { makeFindings } from './findings.ts'
import { rules } from './rules/index.ts'
import { ago, asset, machine, sourceOf, testNow, thing, witness, witnesses } from './testing.ts'

const context: Context = {
  principal: { id: 'usr_1', kind: 'user', name: 'Ada', bindings: [], version: '1' },
  door: 'http',
  requestId: 'req_1',
  signal: new AbortController().signal,
}

/** Four findings: one machine without backup and one that is long off, a snapshot of the first, a full pool. */
async function setUp(database: Database) {
  const named = (id: string, name: string, site: string, view: MachineView): MachineView => ({
    ...view,
    id,
    name,
    site,
  })
  const clock = fixedClock(testNow.toISOString())
  const on = asset('virtualization', { power: 'on' })
  const known = [asset('registry'), asset('monitoring')]
  const estate = {
    machines: [
      named('mch_a', 'Web-100%', 'FRA1', machine('virtual', on, ...known)),
      named(
        'mch_b',
        'db_1',
        'BER1',
        machine('virtual', ...known, asset('virtualization', { power: 'off', powerSince: ago(960) })),
      ),
    ],
    things: [
      {
        ...thing('snapshot', 'virtualization', { createdAt: ago(960) }, { id: 'ast_s', name: 'before' }),
        machine: { id: 'mch_a', name: 'Web-100%' },
      },
      thing(
        'pool',
        'storage',
        { usedPercent: 97 },
        { id: 'ast_p', name: 'gold', connection: 'con_storage', site: null },
      ),
    ],
    connections: [...witnesses, witness('time', { id: 'con_t' })],
  }
  const findings = makeFindings({ database, source: sourceOf(estate), now: clock.now })
  const list = findingActions({
    findings,
    connectionName: async (id) => (id === 'con_storage' ? 'array' : undefined),
    resolveConnection: async (idOrName) => {
      if (idOrName === 'array') return 'con_storage'
      if (idOrName.startsWith('con_')) return idOrName
      throw new Problem('not-found', 'There is no such connection')
    },
  })
  const actions = new Map(list.map((action) => [action.name, action]))
  const parse = (name: string, input: unknown) => actions.get(name)!.input.parse(input)
  const run = async (name: string, input: unknown = {}) => {
    const action = actions.get(name)!
    return z.parse(action.output, await handlerOf(action).run(parse(name, input), context)) as Record<string, unknown>
  }
  const resource = (name: string, input: unknown) => handlerOf(actions.get(name)!).resource(parse(name, input))
  const items = async (input: unknown) =>
    (await run('inventory.findings.list', input))['items'] as { id: string; rule: string; name: string }[]
  const found = async (input: unknown) => (await items(input)).map(({ rule }) => rule)
  await run('inventory.findings.evaluate')
  return { actions, parse, run, resource, items, found, clock, estate }
}

testOnEach('the list is the worst first, and every filter narrows it', inventoryMigrations, async (database) => {
  const { found, run } = await setUp(database)
  const worstFirst = ['pool-full', 'no-backup', 'old-snapshot', 'powered-off']
  for (const [input, expected] of [
    [{}, worstFirst],
    [{ state: ['open', 'resolved'] }, worstFirst],
    [{ state: 'resolved' }, []],
    [{ rule: 'no-backup' }, ['no-backup']],
    [{ rule: ['no-backup', 'pool-full'], limit: '1' }, ['pool-full']],
    [{ severity: ['critical', 'info'] }, ['pool-full', 'powered-off']],
    [{ site: 'BER1' }, ['powered-off']],
    [{ machine: 'mch_a' }, ['no-backup', 'old-snapshot']],
    [{ connection: 'array' }, ['pool-full']],
    [{ connection: 'con_backup' }, ['no-backup']],
    [{ connection: 'con_nowhere' }, []],
    [{ q: 'WEB' }, ['no-backup', 'old-snapshot']],
    [{ q: '0%: b' }, ['old-snapshot']],
    [{ q: '%' }, ['no-backup', 'old-snapshot']],
    [{ q: '_' }, ['powered-off']],
    [{ q: 'b_1' }, ['powered-off']],
    [{ q: 'dbx1' }, []],
    [{ q: 'ast_p' }, ['pool-full']],
    [{ q: `' or 1=1 --` }, []],
  ] as const)
    assert.deepEqual(await found(input), expected, JSON.stringify(input))
  assert.equal((await run('inventory.findings.list', { severity: 'critical' }))['total'], 1)
})

testOnEach('pages go on where the one before ended, for the same query', inventoryMigrations, async (database) => {
  const { run, found, estate } = await setUp(database)
  const first = await run('inventory.findings.list', { limit: 3 })
  assert.equal(first['total'], 4)
  assert.equal(estate.machines.length, 2)
  const next = String(first['next'])
  assert.deepEqual(await found({ limit: 3, cursor: next }), ['powered-off'])
  assert.equal((await run('inventory.findings.list', { cursor: next }))['next'], null)
  await assert.rejects(run('inventory.findings.list', { cursor: next, severity: 'info' }), { type: 'invalid-input' })
  await assert.rejects(run('inventory.findings.list', { cursor: 'bm8' }), { type: 'invalid-input' })
})

testOnEach('one finding is shown with what it means and what happened', inventoryMigrations, async (database) => {
  const { run, items, clock } = await setUp(database)
  const [{ id } = { id: '' }] = await items({ rule: 'pool-full' })
  const until = '2026-12-24T00:00:00.000Z'
  await run('inventory.findings.acknowledge', { finding: id, reason: 'New disks are ordered', until })
  const at = clock.now().toISOString()

  const { meaning, advice, ...shown } = await run('inventory.findings.get', { finding: id })
  assert.match(String(meaning), /pool of storage/)
  assert.match(String(advice), /add capacity/)
  assert.deepEqual(shown, {
    id,
    rule: 'pool-full',
    title: 'Storage pool nearly full',
    severity: 'critical',
    state: 'acknowledged',
    name: 'gold',
    site: null,
    machine: null,
    asset: 'ast_p',
    connection: 'con_storage',
    evidence: [
      {
        subject: 'storage',
        connection: 'con_storage',
        connectionName: 'array',
        asset: 'ast_p',
        name: 'gold',
        says: '97 % used',
        at: ago(0),
        url: null,
      },
    ],
    firstOpenedAt: at,
    openedAt: at,
    timesOpened: 1,
    lastSeenAt: at,
    isResting: false,
    resolvedAt: null,
    resolution: null,
    acknowledgement: { by: 'usr_1', reason: 'New disks are ordered', at, until },
    history: [{ what: 'acknowledged', at, by: 'usr_1', reason: 'New disks are ordered', until, evidence: [] }],
  })
  assert.equal((await run('inventory.findings.reopen', { finding: id, reason: 'Cancelled' }))['state'], 'open')
})

testOnEach('the summary counts per rule, severity, system, site and day', inventoryMigrations, async (database) => {
  const { run, items, clock, estate } = await setUp(database)
  const [{ id } = { id: '' }] = await items({ rule: 'old-snapshot' })
  await run('inventory.findings.acknowledge', { finding: id, reason: 'Needed', until: '2026-12-24T00:00:00Z' })
  clock.forward(86_400_000)
  const lastSyncedAt = clock.now().toISOString()
  estate.connections.splice(0, Infinity, ...witnesses.map((one) => ({ ...one, lastSyncedAt })))
  estate.machines.pop()
  await run('inventory.findings.evaluate')

  const { rules: perRule, ...summary } = await run('inventory.findings.summary')
  assert.deepEqual(perRule, [
    { rule: 'no-backup', title: 'No recent backup', open: 1, acknowledged: 0 },
    { rule: 'old-snapshot', title: 'Old snapshot', open: 0, acknowledged: 1 },
    { rule: 'pool-full', title: 'Storage pool nearly full', open: 1, acknowledged: 0 },
  ])
  assert.deepEqual(summary, {
    open: 2,
    acknowledged: 1,
    evaluatedAt: clock.now().toISOString(),
    severities: [
      { severity: 'critical', open: 1 },
      { severity: 'high', open: 1 },
    ],
    connections: [
      { connection: 'con_backup', name: null, open: 1, acknowledged: 0 },
      { connection: 'con_storage', name: 'array', open: 1, acknowledged: 0 },
      { connection: 'con_virtualization', name: null, open: 1, acknowledged: 1 },
    ],
    sites: [{ site: 'FRA1', open: 1, acknowledged: 1 }],
    trend: [
      { day: '2026-11-26', opened: 4, resolved: 0, open: 4, acknowledged: 0 },
      { day: '2026-11-27', opened: 0, resolved: 1, open: 2, acknowledged: 1 },
    ],
  })
  assert.equal(((await run('inventory.findings.summary', { days: '1' }))['trend'] as unknown[]).length, 1)
})

testOnEach('rules are listed with their thresholds, and edited', inventoryMigrations, async (database) => {
  const { run } = await setUp(database)
  const { items } = (await run('inventory.rules.list')) as { items: { id: string; rests: string | null }[] }
  assert.deepEqual(
    items.map(({ id }) => id),
    rules.map(({ id }) => id),
  )
  const edited = await run('inventory.rules.edit', {
    rule: 'no-backup',
    settings: { hours: 72 },
    isOn: false,
    reason: 'Weekly only',
  })
  assert.deepEqual(edited['settings'], [
    { name: 'hours', title: 'Hours that the last good backup may be old', value: 72, default: 48, min: 1, max: 8_760 },
  ])
  assert.equal(edited['isOn'], false)
})

test('each action says honestly what it does, to what', async (t) => {
  const { actions, resource, parse } = await setUp(await freshSqlite(t, inventoryMigrations))
  assert.deepEqual(
    [...actions.values()].map(({ name, access, http }) => `${name} ${access} ${http.method} ${http.path}`),
    [
      'inventory.findings.list read GET /findings',
      'inventory.findings.get read GET /findings/{finding}',
      'inventory.findings.summary read GET /inventory/findings/summary',
      'inventory.findings.acknowledge write POST /findings/{finding}/acknowledge',
      'inventory.findings.reopen write POST /findings/{finding}/reopen',
      'inventory.findings.evaluate write POST /inventory/findings/evaluate',
      'inventory.rules.list read GET /inventory/rules',
      'inventory.rules.edit write PATCH /inventory/rules/{rule}',
    ],
  )
  const finding = `fnd_${'0'.repeat(24)}`
  assert.deepEqual(resource('inventory.findings.get', { finding }), { type: 'finding', id: finding })
  assert.deepEqual(resource('inventory.findings.list', {}), { type: 'inventory', id: '*' })
  assert.deepEqual(resource('inventory.findings.list', { connection: 'array' }), { type: 'inventory', id: '*' })
  assert.deepEqual(resource('inventory.rules.edit', { rule: 'no-backup', isOn: true, reason: 'because' }), {
    type: 'rule',
    id: 'no-backup',
  })
  const ack = { finding, reason: 'because', until: '2027-01-01T00:00:00Z' }
  for (const [name, input] of [
    ['inventory.findings.get', { finding: 'fnd_../../x' }],
    ['inventory.findings.acknowledge', { ...ack, reason: '   ' }],
    ['inventory.findings.acknowledge', { ...ack, reason: 'two\u0000lines' }],
    ['inventory.findings.acknowledge', { ...ack, until: 'next week' }],
    ['inventory.findings.acknowledge', { finding, until: ack.until }],
    ['inventory.findings.acknowledge', { finding, reason: 'because' }],
    ['inventory.findings.list', { severity: 'worst' }],
    ['inventory.findings.list', { state: 'gone' }],
    ['inventory.findings.list', { limit: 201 }],
    ['inventory.rules.edit', { rule: '__proto__', isOn: true, reason: 'because' }],
    ['inventory.rules.edit', { rule: 'no-backup', isOn: false }],
    ['inventory.rules.edit', { rule: 'no-backup', reason: 'because' }],
    ['inventory.rules.edit', { rule: 'no-backup', reason: 'because', settings: { hours: '5' } }],
  ] as const)
    assert.throws(() => parse(name, input), z.ZodError, `${name} ${JSON.stringify(input)}`)
  for (const action of actions.values()) {
    jsonSchemaOf(action.input, 'input')
    jsonSchemaOf(action.output, 'output')
  }
})

test('docs/operate/findings.md explains each rule with its thresholds, and no other', () => {
  const page = readFileSync('docs/operate/findings.md', 'utf8')
  const sections = new Map(
    page
      .split(/^### /m)
      .slice(1)
      .map((section) => [/^`([a-z-]+)`/.exec(section)?.[1], section] as const),
  )
  assert.deepEqual([...sections.keys()].sort(), rules.map(({ id }) => id).sort())
  for (const { id, title, severity, settings, witnesses } of rules) {
    const section = sections.get(id) ?? ''
    const [head = ''] = section.split('\n')
    assert.equal(head, `\`${id}\`: ${title}`)
    const needs = witnesses.map(({ from, of }) => `${from} ${of.join(' or ')}`).join(', ') || 'nothing'
    assert.match(section, new RegExp(`^Severity: ${severity}\\b.* · needs ${needs}$`, 'm'), id)
    for (const [name, setting] of Object.entries(settings))
      assert.match(section, new RegExp(`\`${name}\` \\(${setting.default}\\b`), `${id} ${name}`)
  }
})
