import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { SyncBatch } from '../../core/connector.ts'
import { type Exchange, upstream } from '../../testing/upstream.ts'
import { zabbix } from './index.ts'
import { addressesOf, fqdnsIn, hostNamesIn, macsIn } from './marks.ts'

const config = { url: 'https://monitor.example.net/zabbix/', pageSize: 500 }
const fixture = (name: string) => JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures', name), 'utf8'))

/** One call, exactly as it is sent; the result is a value or a fixture. */
function rpc(method: string, params: object, result: unknown): Exchange {
  return {
    request: 'POST /api_jsonrpc.php',
    body: { jsonrpc: '2.0', method, params, id: 1 },
    requestHeaders: { 'content-type': 'application/json-rpc' },
    reply: {
      jsonrpc: '2.0',
      result: typeof result === 'string' && result.endsWith('.json') ? fixture(result) : result,
      id: 1,
    },
  }
}

const hostFields = {
  output: ['hostid', 'host', 'name', 'status', 'flags', 'maintenance_status'],
  selectInterfaces: ['type', 'ip', 'dns', 'available'],
  selectInventory: [
    'type',
    'os',
    'serialno_a',
    'asset_tag',
    'macaddress_a',
    'macaddress_b',
    'model',
    'vendor',
    'location',
  ],
  selectTags: ['tag', 'value'],
}
const groups = rpc(
  'hostgroup.get',
  { output: ['groupid', 'name'], selectHosts: 'count', sortfield: 'groupid' },
  'host-groups.json',
)
const ids = (...found: string[]) =>
  rpc(
    'host.get',
    { output: ['hostid'], sortfield: 'hostid' },
    found.map((hostid) => ({ hostid })),
  )
const inProblem = (...found: string[]) =>
  rpc(
    'trigger.get',
    { output: ['triggerid'], filter: { value: 1 }, monitored: true, sortfield: 'triggerid' },
    found.map((triggerid) => ({ triggerid })),
  )
const triggers = (triggerids: string[], result: unknown) =>
  rpc(
    'trigger.get',
    {
      triggerids,
      output: ['triggerid', 'description', 'priority', 'value', 'lastchange'],
      expandDescription: true,
      monitored: true,
      selectHosts: ['hostid', 'name'],
    },
    result,
  )
const problems = (eventid_from: string, limit: number, result: unknown) =>
  rpc(
    'problem.get',
    {
      output: ['eventid', 'objectid', 'clock', 'name', 'acknowledged', 'suppressed', 'severity'],
      selectTags: ['tag', 'value'],
      source: 0,
      object: 0,
      sortfield: ['eventid'],
      eventid_from,
      sortorder: 'ASC',
      limit,
    },
    result,
  )

async function run(t: TestContext, exchanges: readonly Exchange[], pageSize = 500) {
  const steps = zabbix.sync?.(upstream(t, import.meta.dirname, exchanges, { config: { ...config, pageSize } }))
  assert.ok(steps)
  const batches: SyncBatch[] = []
  for (;;) {
    const step = await steps.next()
    if (step.done)
      return { batches, cursor: step.value, seen: batches.flatMap(({ observations = [] }) => observations) }
    batches.push(step.value)
  }
}

test('A sync of 6.0 reports groups, hosts, triggers in problem state and open problems', async (t) => {
  const { batches, cursor, seen } = await run(t, [
    rpc('apiinfo.version', {}, '6.0.14'),
    groups,
    ids('10084', '10601'),
    rpc(
      'host.get',
      { hostids: ['10084', '10601'], ...hostFields, selectGroups: ['groupid', 'name'] },
      'hosts-6.0.json',
    ),
    inProblem('23512', '23600'),
    triggers(['23512', '23600'], 'triggers.json'),
    problems('1', 500, 'problems.json'),
    triggers(['23512', '23600', '23999'], 'triggers.json'),
  ])

  assert.deepEqual(
    batches.map(({ observations, ...batch }) => ({ ...batch, rows: observations?.length })),
    [
      { stage: 'host groups', total: 3, rows: 3, full: true },
      { stage: 'hosts', total: 2, rows: 2, full: true },
      { stage: 'triggers in problem state', total: 2, rows: 2, full: true },
      { stage: 'open problems', rows: 2, full: true },
    ],
  )
  assert.deepEqual(seen, fixture('observations.json'))
  assert.deepEqual(cursor, {})
})

test('A sync of 7.0 asks for host groups by their new name, and reads pages', async (t) => {
  const rows = fixture('problems.json')
  const { seen } = await run(
    t,
    [
      rpc('apiinfo.version', {}, '7.0.5'),
      groups,
      ids('10602'),
      rpc('host.get', { hostids: ['10602'], ...hostFields, selectHostGroups: ['groupid', 'name'] }, 'hosts-7.0.json'),
      inProblem(),
      problems('1', 1, [rows[0]]),
      triggers(['23512'], fixture('triggers.json').slice(0, 1)),
      problems('90412', 1, [rows[2]]),
      triggers(['23999'], []),
      problems('90414', 1, []),
    ],
    1,
  )

  assert.deepEqual(
    seen.slice(3).map(({ kind, externalId, name, status }) => [kind, externalId, name, status]),
    [
      ['host', '10602', 'Mailserver', 'disabled'],
      ['problem', '90411', 'High CPU utilization (over 90% for 5m)', 'problem'],
    ],
  )
  assert.deepEqual(
    [seen[3]?.machine, seen[3]?.facts, seen[3]?.relations],
    [{ hostNames: ['mail'] }, { isMonitored: false }, [{ type: 'member-of', kind: 'group', externalId: '2' }]],
  )
})

test('A trigger that went back to OK between the two questions is not reported', async (t) => {
  const { seen } = await run(t, [
    rpc('apiinfo.version', {}, '7.2.3'),
    groups,
    ids(),
    inProblem('23512'),
    triggers(['23512'], [{ ...fixture('triggers.json')[0], value: '0' }]),
    problems('1', 500, []),
  ])

  assert.deepEqual(
    seen.filter((one) => one.kind === 'trigger'),
    [],
  )
})

test('An account that sees no host group ends the sync, and nothing becomes stale by it', async (t) => {
  const none = { ...groups, reply: { jsonrpc: '2.0', result: [], id: 1 } }

  await assert.rejects(run(t, [rpc('apiinfo.version', {}, '7.0.5'), none]), {
    type: 'upstream-denied',
    message: /sees no host group/,
  })
})

test('An answer that is not of this call or not of this API is refused (claims: D30)', async (t) => {
  const version = rpc('apiinfo.version', {}, '7.0.5')
  const wrong: readonly unknown[] = [
    { jsonrpc: '2.0', result: '7.0.5', id: 2 },
    { jsonrpc: '2.0', result: '<script>', id: 1 },
    { jsonrpc: '2.0', id: 1 },
    [],
    null,
    'OK',
  ]
  for (const reply of wrong)
    await assert.rejects(run(t, [{ ...version, reply }]), { type: 'upstream-invalid' }, JSON.stringify(reply))
})

test('Numbers may come as numbers, and what is left out is left out', async (t) => {
  const { seen } = await run(t, [
    rpc('apiinfo.version', {}, '7.0.5'),
    groups,
    ids('7'),
    rpc('host.get', { hostids: ['7'], ...hostFields, selectHostGroups: ['groupid', 'name'] }, [
      { hostid: 7, host: 'db7', name: 'db7', status: 0, extra: { deep: 1 } },
    ]),
    inProblem(),
    problems('1', 500, []),
  ])

  const { attributes, facts, machine, addresses, relations } = seen[3] ?? {}
  assert.deepEqual(
    { attributes, facts, machine, addresses, relations },
    {
      attributes: { technicalName: 'db7' },
      facts: { isMonitored: true },
      machine: { hostNames: ['db7'] },
      addresses: undefined,
      relations: [],
    },
  )
})

const names: readonly (readonly [string, string, readonly string[], readonly string[]])[] = [
  ['app01', 'app01', ['app01'], []],
  ['app01.example.net', 'App 01', ['app01.example.net'], ['app01.example.net']],
  ['APP01', 'app01.example.net', ['APP01', 'app01.example.net'], ['app01.example.net']],
  ['mail', 'Mailserver', ['mail'], []],
  ['Zabbix server', 'Zabbix server', [], []],
  ['10.0.0.7', '10.0.0.7', [], []],
  ['7', '7', [], []],
  ['420a1234-5678-9abc-def0-123456789abc', 'db7', ['db7'], []],
  ['win_sql-01', 'SQL 01 (old)', ['win_sql-01'], []],
  ['a..b', '-x.example.net', [], []],
  [`${'a'.repeat(64)}.net`, 'x', [], []],
]
for (const [technical, visible, hostNames, fqdns] of names) {
  test(`A host called ${technical.slice(0, 40)} and shown as ${visible} is recognised by ${[...hostNames, ...fqdns].join(', ') || 'nothing'}`, () => {
    assert.deepEqual([hostNamesIn(technical, visible), fqdnsIn(technical, visible)], [hostNames, fqdns])
  })
}

test('MAC addresses are found in free text, and only they', () => {
  assert.deepEqual(
    macsIn('00:50:56:AA:bb:cc (eth0), 00-50-56-aa-bb-cd', null, undefined, 'none', '00:50:56', '00:50:56:AA:bb:cc'),
    ['00:50:56:AA:bb:cc', '00-50-56-aa-bb-cd'],
  )
})

test('Addresses are those of interfaces, without loopback, macros and repetition', () => {
  const given = ['127.0.0.1', '127.1.2.3', '::1', '0.0.0.0', '::', '', '{$IP}', '10.0.0.7', '2001:db8::7', '10.0.0.7']
  const interfaces = given.map((ip) => ({ type: 1, ip, dns: '' }))

  assert.deepEqual(addressesOf({ hostid: '1', host: '', name: '', status: 0, interfaces, tags: [] }), [
    '10.0.0.7',
    '2001:db8::7',
  ])
})

test('The address is https and nothing but an origin with a path; the credential is one of two kinds (claims: D11)', () => {
  const good = ['https://monitor.example.net', 'https://monitor.example.net:8443/zabbix/']
  const bad = [
    'http://monitor.example.net',
    'https://u:p@monitor.example.net',
    'https://m.example.net/?x=1',
    'https://m.example.net/#x',
    'ftp://m',
    '',
  ]
  const token = 'a'.repeat(64)
  const credentials: readonly (readonly [Record<string, string>, boolean])[] = [
    [{ token }, true],
    [{ username: 'atlas', password: 'x' }, true],
    [{}, false],
    [{ username: 'atlas' }, false],
    [{ password: 'x' }, false],
    [{ token, username: 'atlas', password: 'x' }, false],
    [{ token: `${token}\r\nx: y` }, false],
    [{ token: 'short' }, false],
  ]

  for (const url of good) assert.equal(zabbix.config.safeParse({ url }).success, true, url)
  for (const url of bad) assert.equal(zabbix.config.safeParse({ url }).success, false, url)
  for (const [credential, isGood] of credentials)
    assert.equal(zabbix.credential.safeParse(credential).success, isGood, JSON.stringify(credential))
})
