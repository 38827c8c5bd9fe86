import assert from 'node:assert/strict'
import { test } from 'node:test'
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

const rules = (mode: '0' | '1', ...api: string[]) => [{ roleid: '5', rules: { 'api.mode': mode, api } }]
const anything = 'The role has no allow list of API methods: the account may also call methods that write.'
const cases: readonly {
  readonly title: string
  readonly version?: string
  readonly type?: number | string
  readonly role?: unknown
  readonly groups?: string
  readonly warnings: readonly string[]
}[] = [
  { title: 'a reader', role: rules('1', 'host.get', 'apiinfo.version', 'user.logout'), warnings: [] },
  {
    title: 'a super admin',
    type: '3',
    warnings: ['The account is a super admin. Use an account of type User whose role may only read.'],
  },
  {
    title: 'an admin with a few writing methods',
    type: 2,
    role: rules('1', 'host.get', 'maintenance.create', 'event.acknowledge', '<b>'),
    warnings: [
      'The account is of type Admin: it may change hosts where its user group may write.',
      'The role allows API methods that write: event.acknowledge, maintenance.create.',
    ],
  },
  {
    title: 'wildcards and many writing methods',
    role: rules('1', '*.get', 'host.*', ...'abcdefgh'.split('').map((letter) => `${letter}.create`)),
    warnings: [
      'The role allows API methods that write: a.create, b.create, c.create, d.create, e.create, f.create, g.create, h.create and 1 more.',
    ],
  },
  { title: 'a deny list', role: rules('0', 'host.delete'), warnings: [anything] },
  { title: 'an allow list that is empty, which allows all', role: rules('1'), warnings: [anything] },
  {
    title: 'a role that may not look at itself',
    role: new Problem('upstream-denied'),
    warnings: [
      'Whether the account may write cannot be told: its role does not allow role.get. Look at the role in Zabbix.',
    ],
  },
  {
    title: 'an account without host groups',
    role: rules('1', 'host.get'),
    groups: '0',
    warnings: ['The account sees no host group: nothing can be read.'],
  },
  {
    title: 'an old Zabbix',
    version: '5.4.9',
    role: rules('1', 'host.get'),
    warnings: ['Zabbix 5.4.9 is older than 6.0 and is not supported.'],
  },
  {
    title: 'a Zabbix that came later',
    version: '8.0.0rc1',
    role: rules('1', 'host.get'),
    warnings: ['Zabbix 8.0.0rc1 is newer than what this connector was written for (7.4).'],
  },
]
for (const { title, version = '7.0.5', type = 1, role, groups = '4', warnings } of cases) {
  test(`The check says what is worth saying about ${title} (claims: A35)`, async (t) => {
    const context = upstream(
      t,
      import.meta.dirname,
      [
        rpc('apiinfo.version', {}, version),
        rpc('user.checkAuthentication', {}, { username: 'atlas', roleid: '5', type, sessionid: 'never shown' }),
        rpc('hostgroup.get', { countOutput: true }, groups),
        ...(role === undefined
          ? []
          : [rpc('role.get', { roleids: ['5'], output: ['roleid'], selectRules: ['api.mode', 'api'] }, role)]),
      ],
      { config },
    )

    assert.deepEqual(await zabbix.check(context), { version, account: 'atlas', warnings })
  })
}

test('A check that fails for another reason than a missing right fails', async (t) => {
  const context = upstream(
    t,
    import.meta.dirname,
    [
      rpc('apiinfo.version', {}, '7.0.5'),
      rpc('user.checkAuthentication', {}, { username: 'atlas', roleid: '5', type: 1 }),
      rpc('hostgroup.get', { countOutput: true }, '4'),
      rpc(
        'role.get',
        { roleids: ['5'], output: ['roleid'], selectRules: ['api.mode', 'api'] },
        new Problem('upstream-timeout'),
      ),
    ],
    { config },
  )

  await assert.rejects(zabbix.check(context), { type: 'upstream-timeout' })
})
