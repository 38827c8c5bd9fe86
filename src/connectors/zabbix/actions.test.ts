import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Context, handlerOf } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import { type Exchange, upstream } from '../../testing/upstream.ts'
import { zabbix } from './index.ts'

const config = { url: 'https://monitor.example.net', pageSize: 500 }

function rpc(method: string, params: object, result: unknown): Exchange {
  return {
    request: 'POST /api_jsonrpc.php',
    body: { jsonrpc: '2.0', method, params, id: 1 },
    requestHeaders: { 'content-type': 'application/json-rpc' },
    reply: result instanceof Problem ? result : { jsonrpc: '2.0', result, id: 1 },
  }
}

/** Runs an action as the gate does: parsed input, a connection, a checked output. */
async function act(t: TestContext, name: string, input: Record<string, unknown>, exchanges: readonly Exchange[]) {
  const action = zabbix.actions.find((one) => one.name === name)
  assert.ok(action, name)
  const parsed = action.input.parse({ connection: 'zx', ...input })
  const { http, signal } = upstream(t, import.meta.dirname, exchanges, { config })
  const context: Context = {
    principal: { id: 'usr_1', kind: 'user', name: 'Ana', bindings: [], version: '1' },
    door: 'http',
    requestId: 'req_1',
    signal,
    connection: { id: 'con_1', config, http },
  }
  return action.output.parse(await handlerOf(action).run(parsed, context)) as Record<string, unknown>
}

test('Each action has its access, its route and the connection as resource', () => {
  assert.deepEqual(
    zabbix.actions.map(({ name, access, http }) => [name, access, http.method, http.path]),
    [
      ['zabbix.problems.list', 'read', 'GET', '/connections/{connection}/zabbix/problems'],
      ['zabbix.problem.acknowledge', 'write', 'POST', '/connections/{connection}/zabbix/problems/{id}/acknowledgement'],
      ['zabbix.problem.comment', 'write', 'POST', '/connections/{connection}/zabbix/problems/{id}/comments'],
      ['zabbix.maintenance.create', 'write', 'POST', '/connections/{connection}/zabbix/maintenances'],
      ['zabbix.host.get', 'read', 'GET', '/connections/{connection}/zabbix/hosts/{id}'],
    ],
  )
})

const row = {
  eventid: '90411',
  objectid: '23512',
  clock: '1795331400',
  name: 'CPU',
  acknowledged: '0',
  severity: '4',
  suppressed: '0',
}
const trigger = {
  triggerid: '23512',
  description: 'CPU',
  priority: '4',
  value: '1',
  lastchange: '1795331400',
  hosts: [{ hostid: '7', name: 'app' }],
}
const listed = (filter: object, result: unknown) =>
  rpc(
    'problem.get',
    {
      output: ['eventid', 'objectid', 'clock', 'name', 'acknowledged', 'suppressed', 'severity'],
      selectTags: ['tag', 'value'],
      source: 0,
      object: 0,
      sortfield: ['eventid'],
      sortorder: 'DESC',
      ...filter,
    },
    result,
  )
const triggers = rpc(
  'trigger.get',
  {
    triggerids: ['23512'],
    output: ['triggerid', 'description', 'priority', 'value', 'lastchange'],
    expandDescription: true,
    monitored: true,
    selectHosts: ['hostid', 'name'],
  },
  [trigger],
)

test('Problems are listed newest first with their hosts, and the answer continues before the last id', async (t) => {
  const answer = await act(
    t,
    'zabbix.problems.list',
    { host: '7', minSeverity: '3', acknowledged: 'no', limit: '1', cursor: '90500' },
    [
      listed({ limit: 1, hostids: ['7'], severities: [3, 4, 5], acknowledged: false, eventid_till: '90499' }, [row]),
      triggers,
    ],
  )

  assert.deepEqual(answer, {
    items: [
      {
        id: '90411',
        name: 'CPU',
        severity: 4,
        severityName: 'high',
        openedAt: '2026-11-22T07:10:00.000Z',
        acknowledged: false,
        suppressed: false,
        hosts: [{ id: '7', name: 'app' }],
        triggerId: '23512',
        url: 'https://monitor.example.net/tr_events.php?triggerid=23512&eventid=90411',
      },
    ],
    next: '90411',
  })
})

test('A list without filters asks for all severities and ends with null', async (t) => {
  const answer = await act(t, 'zabbix.problems.list', {}, [listed({ limit: 25 }, [])])

  assert.deepEqual(answer, { items: [], next: null })
})

const find = (acknowledged: string) =>
  rpc(
    'problem.get',
    { eventids: ['90411'], output: ['eventid', 'objectid', 'clock', 'name', 'acknowledged', 'severity'] },
    [{ ...row, acknowledged }],
  )

test('A problem is acknowledged without a message; Zabbix may answer with numbers', async (t) => {
  const answer = await act(t, 'zabbix.problem.acknowledge', { id: '90411' }, [
    find('0'),
    rpc('event.acknowledge', { eventids: ['90411'], action: 2 }, { eventids: [90411] }),
  ])

  assert.deepEqual(answer, { id: '90411', acknowledged: true, changed: true })
})

test('A problem that is acknowledged already is not written to', async (t) => {
  const answer = await act(t, 'zabbix.problem.acknowledge', { id: '90411' }, [find('1')])

  assert.deepEqual(answer, { id: '90411', acknowledged: true, changed: false })
})

test('A comment is the message alone', async (t) => {
  const answer = await act(t, 'zabbix.problem.comment', { id: '90411', message: ' Looking at it. ' }, [
    find('0'),
    rpc('event.acknowledge', { eventids: ['90411'], action: 4, message: 'Looking at it.' }, { eventids: ['90411'] }),
  ])

  assert.deepEqual(answer, { id: '90411' })
})

test('A host or problem that is not there is a not-found problem', async (t) => {
  const none = { ...find('0'), reply: { result: [], id: 1 } }
  await assert.rejects(act(t, 'zabbix.problem.acknowledge', { id: '90411' }, [none]), { type: 'not-found' })
  await assert.rejects(act(t, 'zabbix.problem.comment', { id: '90411', message: 'x' }, [none]), { type: 'not-found' })
  const version = rpc('apiinfo.version', {}, '7.0.5')
  const noHost: Exchange = {
    ...rpc(
      'host.get',
      {
        hostids: ['7'],
        output: ['hostid', 'host', 'name', 'status', 'flags', 'maintenance_status'],
        selectHostGroups: ['groupid', 'name'],
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
      },
      [],
    ),
  }
  await assert.rejects(act(t, 'zabbix.host.get', { id: '7' }, [version, noHost]), { type: 'not-found' })
})

const wanted = {
  name: 'Firmware of app01',
  hosts: ['7', '8', '7'],
  from: '2026-12-01T21:00:30+01:00',
  until: '2026-12-01T21:30:30Z',
  collectData: false,
  description: 'Change 1177',
}
const [since, till] = [Date.UTC(2026, 11, 1, 20, 0) / 1000, Date.UTC(2026, 11, 1, 21, 31) / 1000]
const search = (result: unknown) =>
  rpc(
    'maintenance.get',
    {
      output: ['maintenanceid', 'active_since', 'active_till'],
      filter: { name: ['Firmware of app01'] },
      selectHosts: ['hostid'],
    },
    result,
  )
const same = {
  maintenanceid: '12',
  active_since: String(since),
  active_till: String(till),
  hosts: [{ hostid: '8' }, { hostid: '7' }],
}

test('A maintenance is one period in whole minutes for each host once', async (t) => {
  const answer = await act(t, 'zabbix.maintenance.create', wanted, [
    search([]),
    rpc(
      'maintenance.create',
      {
        name: 'Firmware of app01',
        description: 'Change 1177',
        maintenance_type: 1,
        active_since: since,
        active_till: till,
        hosts: [{ hostid: '7' }, { hostid: '8' }],
        timeperiods: [{ timeperiod_type: 0, start_date: since, period: till - since }],
      },
      { maintenanceids: ['12'] },
    ),
  ])

  assert.deepEqual(answer, {
    id: '12',
    created: true,
    from: '2026-12-01T20:00:00.000Z',
    until: '2026-12-01T21:31:00.000Z',
  })
})

test('The same maintenance again writes nothing; another of that name is a conflict', async (t) => {
  const again = await act(t, 'zabbix.maintenance.create', wanted, [search([same])])

  assert.deepEqual([again['id'], again['created']], ['12', false])
  const others = [
    { ...same, active_since: String(since - 60) },
    { ...same, active_till: String(till + 60) },
    { ...same, hosts: [{ hostid: '7' }] },
    { ...same, hosts: [{ hostid: '7' }, { hostid: '8' }, { hostid: '9' }] },
    { ...same, hosts: [{ hostid: '7' }, { hostid: '9' }] },
  ]
  for (const other of others)
    await assert.rejects(act(t, 'zabbix.maintenance.create', wanted, [search([other])]), { type: 'conflict' })
})

test('A maintenance that is too short, too long or ends before it begins asks Zabbix nothing', async (t) => {
  for (const until of ['2026-12-01T20:04:00Z', '2027-01-01T20:01:00Z', '2026-11-01T20:00:00Z'])
    await assert.rejects(
      act(t, 'zabbix.maintenance.create', { ...wanted, until }, []),
      { type: 'invalid-input' },
      until,
    )
})

test('Input that could leave its place is refused (claims: D16)', () => {
  const hostile = [
    '../../x',
    '1/../2',
    '1?x=1',
    '1#x',
    '1%2e%2e',
    '1\r\nx: y',
    '',
    '0',
    '-1',
    '1e3',
    ' 1',
    '١',
    '9'.repeat(20),
  ]
  const plan = { ...wanted, hosts: ['7'] }
  const refused: readonly (readonly [string, Record<string, unknown>])[] = [
    ...hostile.flatMap((id) => [
      ['zabbix.host.get', { id }] as const,
      ['zabbix.problem.acknowledge', { id }] as const,
      ['zabbix.problem.comment', { id, message: 'x' }] as const,
      ['zabbix.problems.list', { host: id }] as const,
      ['zabbix.problems.list', { cursor: id }] as const,
      ['zabbix.maintenance.create', { ...plan, hosts: [id] }] as const,
    ]),
    ['zabbix.problems.list', { minSeverity: 6 }],
    ['zabbix.problems.list', { limit: 1000 }],
    ['zabbix.problems.list', { hots: '1' }],
    ['zabbix.problem.comment', { id: '1', message: '  ' }],
    ['zabbix.problem.comment', { id: '1', message: 'x'.repeat(2049) }],
    ['zabbix.problem.comment', { id: '1', message: 'a\u0000b' }],
    ['zabbix.maintenance.create', { ...plan, description: 'a\u001b[2Jb' }],
    ['zabbix.maintenance.create', { ...plan, name: 'two\nlines' }],
    ['zabbix.maintenance.create', { ...plan, name: '' }],
    ['zabbix.maintenance.create', { ...plan, hosts: [] }],
    ['zabbix.maintenance.create', { ...plan, hosts: Array.from({ length: 101 }, (_, at) => String(at + 1)) }],
    ['zabbix.maintenance.create', { ...plan, from: '2026-12-01 20:00' }],
    ['zabbix.maintenance.create', { ...plan, from: '2026-12-01T20:00:00' }],
  ]
  for (const [name, input] of refused) {
    const action = zabbix.actions.find((one) => one.name === name)
    assert.equal(action?.input.safeParse({ connection: 'zx', ...input }).success, false, JSON.stringify([name, input]))
  }
})
