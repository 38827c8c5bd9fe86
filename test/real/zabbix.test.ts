import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { zabbix } from '../../src/connectors/zabbix/index.ts'
import { call } from '../../src/connectors/zabbix/rpc.ts'
import { type Context, handlerOf } from '../../src/core/action.ts'
import { connectTo } from '../../src/testing/connector.ts'

// Against a real Zabbix with its server process: it makes a host, accounts and a problem of its own and removes them again.
// The trapper port is 10051 on the host of the URL.

const { ZABBIX_URL: url, ZABBIX_USER: username = '', ZABBIX_PASSWORD: password = '', ZABBIX_CA: ca } = process.env
const skip = url && ca ? false : 'ZABBIX_URL, ZABBIX_USER, ZABBIX_PASSWORD and ZABBIX_CA are not set'

const run = Date.now().toString(36)
const hostName = `atlas-${run}.example.net`
const closings: (() => unknown)[] = []
/** Last made first. */
const removals: (() => Promise<unknown>)[] = []
const open = (credential: Record<string, string>) =>
  connectTo({ after: (end) => void closings.push(end as () => unknown) }, zabbix, {
    config: { url },
    credential,
    caPem: readFileSync(ca ?? '', 'utf8'),
  })
type Connected = ReturnType<typeof open>

let admin: Connected
let reader: Connected
let operator: Connected
let hostid = ''
let triggerid = ''

const reads = ['host.get', 'hostgroup.get', 'problem.get', 'trigger.get', 'maintenance.get', 'role.get', 'user.logout']

before(async () => {
  if (skip) return
  admin = open({ username, password })
  const [group] = await ask(
    admin,
    'hostgroup.get',
    { filter: { name: ['Zabbix servers'] } },
    z.array(z.object({ groupid: z.string() })),
  )
  const groupid = group?.groupid ?? ''
  hostid = await make('host', 'hostids', {
    host: hostName,
    name: `Application ${run}`,
    groups: [{ groupid }],
    interfaces: [{ type: 1, main: 1, useip: 1, ip: '10.20.0.51', dns: '', port: '10050' }],
    inventory_mode: 0,
    inventory: { serialno_a: `SN-${run}`, macaddress_a: '00:50:56:aa:bb:cc' },
    tags: [{ tag: 'env', value: 'prod' }],
  })
  await make('item', 'itemids', { name: 'Level', key_: 'level', hostid, type: 2, value_type: 3 })
  triggerid = await make('trigger', 'triggerids', {
    description: 'Level is high on {HOST.HOST}',
    expression: `last(/${hostName}/level)>0`,
    priority: 4,
  })
  reader = open({ token: await account('reader', { type: 1, api: reads }, { groupid, permission: 2 }) })
  const writes = [...reads, 'event.acknowledge', 'maintenance.create', 'maintenance.delete']
  operator = open({ token: await account('operator', { type: 2, api: writes }, { groupid, permission: 3 }) })
})

after(async () => {
  for (const remove of removals) await remove()
  await admin?.signOut()
  for (const close of closings) await close()
})

type Rights = { readonly groupid: string; readonly permission: number }

/** A user with a role of its own, as the README of the connector says, and an API token. */
async function account(
  name: string,
  { type, api }: { type: number; api: string[] },
  { groupid, permission }: Rights,
): Promise<string> {
  const actions = type === 1 ? [] : ['acknowledge_problems', 'add_problem_comments', 'edit_maintenance']
  const roleid = await make('role', 'roleids', {
    name: `atlas-${name}-${run}`,
    type,
    rules: {
      'api.access': 1,
      'api.mode': 1,
      api,
      'actions.default_access': 0,
      actions: actions.map((action) => ({ name: action, status: 1 })),
    },
  })
  const usrgrpid = await make('usergroup', 'usrgrpids', {
    name: `atlas-${name}-${run}`,
    gui_access: 3,
    rights: [{ id: groupid, permission }],
  })
  const names = { username: `atlas-${name}-${run}`, passwd: `Xk7-${run}-pQz9` }
  const userid = await make('user', 'userids', { ...names, roleid, usrgrps: [{ usrgrpid }] })
  const { tokenids } = await ask(
    admin,
    'token.create',
    { name: 'atlas', userid },
    z.object({ tokenids: z.array(z.string()) }),
  )
  const [made] = await ask(admin, 'token.generate', tokenids, z.array(z.object({ token: z.string() })))
  return made?.token ?? ''
}

/** Creates one object and has it deleted at the end. */
async function make(api: string, ids: string, params: object): Promise<string> {
  const answer = await ask(admin, `${api}.create`, params, z.record(z.string(), z.array(z.string())))
  const id = answer[ids]?.[0] ?? ''
  removals.unshift(() => ask(admin, `${api}.delete`, [id], z.unknown()))
  return id
}

function ask<T>({ http }: Connected, method: string, params: object, schema: z.ZodType<T>): Promise<T> {
  return call(http, method, params, schema)
}

async function act(by: Connected, name: string, input: Record<string, unknown>): Promise<Record<string, unknown>> {
  const action = zabbix.actions.find((one) => one.name === name)
  assert.ok(action, name)
  const context: Context = {
    principal: { id: 'usr_1', kind: 'user', name: 'Ana', bindings: [], version: '1' },
    door: 'http',
    requestId: 'req_1',
    signal: by.context.signal,
    connection: { id: 'con_1', config: by.config, http: by.http },
  }
  const outcome = await handlerOf(action).run(action.input.parse({ connection: 'real', ...input }), context)
  return action.output.parse(outcome) as Record<string, unknown>
}

/** Zabbix's sender protocol; false until the server has learnt of the item. */
function push(value: number): Promise<boolean> {
  const data = [{ host: hostName, key: 'level', value: String(value) }]
  const body = Buffer.from(JSON.stringify({ request: 'sender data', data }))
  const head = Buffer.alloc(13)
  head.write('ZBXD\x01', 'latin1')
  head.writeUInt32LE(body.length, 5)
  return new Promise((resolve, reject) => {
    const socket = connect(10051, new URL(url ?? '').hostname, () => socket.write(Buffer.concat([head, body])))
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(/processed: 1/.test(text)))
  })
}

/** The server reads its configuration once a minute. */
async function until<T>(what: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < 100; tries++) {
    const found = await what()
    if (found !== undefined) return found
    await sleep(1000)
  }
  throw new Error('it did not come within 100 seconds')
}

const problemOf = async (by: Connected) => {
  const { observations } = await by.sync()
  return observations.find((one) => one.kind === 'problem' && one.relations?.some((to) => to.externalId === hostid))
}

test('A real Zabbix: the check tells a reader, an operator and a super admin apart', { skip }, async () => {
  const known = await Promise.all([reader.check(), operator.check(), admin.check()])

  assert.deepEqual(
    known.map(({ warnings }) => warnings),
    [
      [],
      [
        'The account is of type Admin: it may change hosts where its user group may write.',
        'The role allows API methods that write: event.acknowledge, maintenance.create, maintenance.delete.',
      ],
      ['The account is a super admin. Use an account of type User whose role may only read.'],
    ],
  )
  assert.equal(known[0]?.account, `atlas-reader-${run}`)
})

test('A real Zabbix: a host comes in with its marks, and a change with the next sync', { skip }, async () => {
  const host = async () => (await reader.sync()).observations.find((one) => one.externalId === hostid)
  const before = await host()
  await ask(admin, 'host.update', { hostid, name: `App${run}.example.net`, status: 1 }, z.unknown())
  const changed = await host()
  await ask(admin, 'host.update', { hostid, name: `Application ${run}`, status: 0 }, z.unknown())

  assert.deepEqual(
    [before?.name, before?.status, before?.serial, before?.addresses, before?.machine, before?.facts],
    [
      `Application ${run}`,
      'enabled',
      `SN-${run}`,
      ['10.20.0.51'],
      { hostNames: [hostName], fqdns: [hostName], macs: ['00:50:56:aa:bb:cc'] },
      { isMonitored: true },
    ],
  )
  assert.deepEqual(
    [changed?.name, changed?.status, changed?.facts],
    [`App${run}.example.net`, 'disabled', { isMonitored: false }],
  )
})

test('A real Zabbix: a problem comes, is acknowledged and commented on, hides with its host, and goes', {
  skip,
}, async () => {
  await until(async () => ((await push(7)) ? true : undefined))
  const problem = await until(() => problemOf(reader))
  const id = problem.externalId
  const refused = act(reader, 'zabbix.problem.acknowledge', { id })
  await assert.rejects(refused, {
    type: 'upstream-denied',
    detail: 'The role of the Zabbix account may not call event.acknowledge.',
  })
  const acknowledged = [
    await act(operator, 'zabbix.problem.acknowledge', { id }),
    await act(operator, 'zabbix.problem.acknowledge', { id }),
  ]
  await act(operator, 'zabbix.problem.comment', { id, message: 'Looking at it.\n"quotes" & <tags>' })
  const listed = await act(reader, 'zabbix.problems.list', { host: hostid, minSeverity: 4, acknowledged: 'yes' })
  await ask(admin, 'host.update', { hostid, status: 1 }, z.unknown())
  const onDisabledHost = await problemOf(reader)
  await ask(admin, 'host.update', { hostid, status: 0 }, z.unknown())
  await until(async () => ((await push(0)) && (await problemOf(reader)) === undefined ? true : undefined))

  assert.deepEqual(
    { name: problem.name, severity: problem.facts?.severity, relations: problem.relations },
    {
      name: `Level is high on ${hostName}`,
      severity: 4,
      relations: [
        { type: 'affects', kind: 'host', externalId: hostid },
        { type: 'raised-by', kind: 'trigger', externalId: triggerid },
      ],
    },
  )
  assert.deepEqual(
    acknowledged.map(({ changed }) => changed),
    [true, false],
  )
  assert.deepEqual(
    (listed['items'] as { id: string }[]).map((one) => one.id),
    [id],
  )
  assert.equal(onDisabledHost, undefined)
  await assert.rejects(act(operator, 'zabbix.problem.comment', { id, message: 'late' }), { type: 'not-found' })
})

test('A real Zabbix: the same maintenance is planned once', { skip }, async () => {
  const wanted = {
    name: `Atlas ${run}`,
    hosts: [hostid],
    from: '2031-01-01T20:00:30Z',
    until: '2031-01-01T21:00:10Z',
  }
  const first = await act(operator, 'zabbix.maintenance.create', wanted)
  const second = await act(operator, 'zabbix.maintenance.create', wanted)
  const other = act(operator, 'zabbix.maintenance.create', { ...wanted, until: '2031-01-01T22:00:00Z' })

  await assert.rejects(other, { type: 'conflict' })
  await ask(admin, 'maintenance.delete', [String(first['id'])], z.unknown())
  assert.deepEqual(first, {
    id: first['id'],
    created: true,
    from: '2031-01-01T20:00:00.000Z',
    until: '2031-01-01T21:01:00.000Z',
  })
  assert.deepEqual(second, { ...first, created: false })
})

test('A real Zabbix: a wrong token and a wrong password are told, and a session that ended is opened again', {
  skip,
}, async () => {
  await assert.rejects(open({ token: '0'.repeat(64) }).check(), {
    type: 'upstream-denied',
    detail: 'Zabbix does not know this API token, or the token or its user is disabled. Create a new token.',
  })
  await assert.rejects(open({ username: `atlas-reader-${run}`, password: 'wrong' }).check(), {
    type: 'upstream-denied',
    detail: 'Zabbix refused the user name or password, or blocks the account for a while after failed sign-ins.',
  })
  const session = open({ username: `atlas-reader-${run}`, password: `Xk7-${run}-pQz9` })
  const first = await session.check()
  await session.signOut()
  const again = await session.check()

  assert.deepEqual([first.account, again.account], [`atlas-reader-${run}`, `atlas-reader-${run}`])
})
