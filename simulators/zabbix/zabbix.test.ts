import assert from 'node:assert/strict'
import { request } from 'node:https'
import { type TestContext, test } from 'node:test'
import { makeCompany } from '../lib/company.ts'
import { startZabbix, type Zabbix, type ZabbixOptions } from './start.ts'

// Facts: the Zabbix API manual, and answers of a real 6.0.14 (see test/real/zabbix.test.ts).

// biome-ignore lint/suspicious/noExplicitAny: the tests look into answers of every shape
type Loose = any

type Ask = { readonly headers?: Record<string, string>; readonly token?: string }

/** Posts the value, or the text as it is, and answers the status and the parsed body. */
function post(
  sim: Zabbix,
  value: unknown,
  { headers = {}, token }: Ask = {},
): Promise<{ status: number; body: Loose }> {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const sent = {
    'content-type': 'application/json-rpc',
    'content-length': String(Buffer.byteLength(text)),
    ...(token && { authorization: `Bearer ${token}` }),
    ...headers,
  }
  return new Promise((resolve, reject) => {
    const options = { method: 'POST', ca: sim.caPem, headers: sent, agent: false }
    const call = request(`${sim.url}/api_jsonrpc.php`, options, (response) => {
      let answer = ''
      response.on('data', (chunk: Buffer) => {
        answer += chunk.toString('utf8')
      })
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: answer === '' ? undefined : JSON.parse(answer) }),
      )
    })
    call.on('error', reject)
    call.end(text)
  })
}

const rpc = (method: string, params: unknown = {}, more: object = {}) => ({
  jsonrpc: '2.0',
  method,
  params,
  id: 1,
  ...more,
})

async function start(t: TestContext, options: ZabbixOptions = {}) {
  const sim = await startZabbix({ truth: makeCompany({ devices: 48, vms: 60 }), ...options })
  t.after(sim.stop)
  return sim
}

/** What `data` of the error says, or the result. */
const said = ({ body }: { body: Loose }) => body.error?.data ?? body.result

test('Content types: three are taken, others are 412 without a body', async (t) => {
  const sim = await start(t)
  for (const type of [
    'application/json-rpc',
    'application/json',
    'application/jsonrequest',
    'application/json; charset=utf-8',
  ])
    assert.equal(said(await post(sim, rpc('apiinfo.version'), { headers: { 'content-type': type } })), '7.0.5')

  assert.deepEqual(await post(sim, rpc('apiinfo.version'), { headers: { 'content-type': 'text/plain' } }), {
    status: 412,
    body: undefined,
  })
})

const forms: readonly (readonly [unknown, number, string])[] = [
  ['{', -32700, 'Invalid JSON. An error occurred on the server while parsing the JSON text.'],
  [rpc('apiinfo.version', {}, { more: 1 }), -32600, 'Invalid parameter "/": unexpected parameter "more".'],
  [
    { jsonrpc: '2.0', method: 'apiinfo.version', id: 1 },
    -32600,
    'Invalid parameter "/": the parameter "params" is missing.',
  ],
  [rpc('apiinfo.version', {}, { jsonrpc: '1.0' }), -32600, 'Invalid parameter "/jsonrpc": value must be "2.0".'],
  [rpc('host.get', {}, { auth: '' }), -32600, 'Invalid parameter "/auth": cannot be empty.'],
  [rpc('host.get', 'all'), -32600, 'Invalid parameter "/params": an array or object is expected.'],
  [rpc('foo.bar'), -32601, 'Incorrect API "foo".'],
  [rpc('host.get'), -32602, 'Not authorized.'],
  [rpc('host.get', {}, { auth: null }), -32602, 'Not authorized.'],
]
for (const [value, code, data] of forms) {
  test(`The form of a call: ${data} comes with status 200`, async (t) => {
    const { status, body } = await post(await start(t, { version: '6.0' }), value)

    assert.deepEqual([status, body.error.code, body.error.data], [200, code, data])
  })
}

test('A batch is answered as a list, without what was only notified', async (t) => {
  const sim = await start(t)
  const { id: _, ...notification } = rpc('apiinfo.version')
  const { body } = await post(sim, [
    rpc('apiinfo.version', {}, { id: 'a' }),
    notification,
    rpc('foo.bar', {}, { id: 2 }),
  ])

  assert.deepEqual(
    body.map(({ id, result, error }: Loose) => [id, result ?? error.code]),
    [
      ['a', '7.0.5'],
      [2, -32601],
    ],
  )
  assert.equal((await post(sim, notification)).body, undefined)
})

const places: readonly (readonly ['6.0' | '7.0' | '7.2', string, string])[] = [
  ['6.0', 'ok', 'Not authorized.'],
  ['7.0', 'ok', 'ok'],
  ['7.2', 'Invalid parameter "/": unexpected parameter "auth".', 'ok'],
]
for (const [version, inBody, inHeader] of places) {
  test(`${version}: where the credential is taken, and that the version is told only without one`, async (t) => {
    const sim = await start(t, { version })
    const { token } = sim.credential
    const call = rpc('hostgroup.get', { countOutput: true })
    const outcome = async (answer: Promise<{ body: Loose }>) => (await answer).body.error?.data ?? 'ok'

    assert.equal(await outcome(post(sim, { ...call, auth: token })), inBody)
    assert.equal(await outcome(post(sim, call, { token })), inHeader)
    const signed =
      version === '6.0'
        ? post(sim, rpc('apiinfo.version', {}, { auth: token }))
        : post(sim, rpc('apiinfo.version'), { token })
    assert.match(await outcome(signed), /must be called without (?:the "auth" parameter|authorization header)\.$/)
  })
}

test('Five wrong passwords block the account for 30 seconds, with the same words', async (t) => {
  const sim = await start(t)
  const { username, password } = sim.login('reader')
  const login = async (given: string, name = username) =>
    said(await post(sim, rpc('user.login', { username: name, password: given })))
  const refused = 'Incorrect user name or password or account is temporarily blocked.'

  assert.equal(await login('x', 'nobody'), refused)
  for (let n = 0; n < 5; n++) assert.equal(await login('wrong'), refused)
  assert.equal(await login(password), refused)
  sim.forward(31_000)
  assert.match(await login(password), /^[0-9a-f]{32}$/)
})

test('A session ends after 15 minutes of silence, and with its logout; a token cannot log out', async (t) => {
  const sim = await start(t)
  const session = async () => String(said(await post(sim, rpc('user.login', sim.login('reader')))))
  const ask = async (token: string, method = 'host.get') =>
    said(await post(sim, rpc(method, { countOutput: true }), { token }))
  const [first, second] = [await session(), await session()]
  sim.forward(14 * 60_000)
  assert.match(String(await ask(first)), /^\d+$/)
  sim.forward(2 * 60_000)

  assert.match(String(await ask(first)), /^\d+$/)
  assert.equal(await ask(second), 'Session terminated, re-login, please.')
  assert.equal(await ask(first, 'user.logout'), true)
  assert.equal(await ask(first), 'Session terminated, re-login, please.')
  assert.equal(await ask(sim.credential.token, 'user.logout'), 'Cannot log out.')
})

test('Groups of hosts come only under the name that the version knows; other options are ignored', async (t) => {
  const known = { '6.0': ['groups'], '7.0': ['groups', 'hostgroups'], '7.2': ['hostgroups'] } as const
  for (const version of ['6.0', '7.0', '7.2'] as const) {
    const sim = await start(t, { version })
    const { token } = sim.credential
    const params = { output: ['hostid'], selectGroups: ['groupid'], selectHostGroups: ['groupid'], nosuch: 1, limit: 1 }
    const call = rpc('host.get', params, version === '6.0' ? { auth: token } : {})
    const { body } = await post(sim, call, version === '6.0' ? {} : { token })

    assert.deepEqual(Object.keys(body.result[0]).sort(), [...known[version], 'hostid'].sort())
  }
})

test('Every value is a string, and an inventory that is off is an empty list', async (t) => {
  const sim = await start(t)
  const { token } = sim.credential
  const ask = async (method: string, params: object) => said(await post(sim, rpc(method, params), { token })) as Loose[]
  sim.openProblem([sim.hosts.idOf.vm(0)], 'x', 4)
  const hosts = await ask('host.get', { selectInventory: ['os'], selectInterfaces: ['type', 'available'] })
  const [problem] = await ask('problem.get', { sortfield: 'eventid', sortorder: 'DESC', limit: 1 })

  for (const { interfaces, inventory, ...host } of hosts) {
    for (const value of [...Object.values(host), ...Object.values(interfaces[0])]) assert.equal(typeof value, 'string')
    assert.ok(Array.isArray(inventory) ? inventory.length === 0 : typeof inventory.os === 'string')
  }
  assert.ok(
    hosts.some(({ inventory }) => Array.isArray(inventory)) && hosts.some(({ inventory }) => !Array.isArray(inventory)),
  )
  assert.deepEqual([problem.severity, problem.acknowledged, problem.r_eventid], ['4', '0', '0'])
})

test('Problems are sorted by their id only', async (t) => {
  const sim = await start(t)
  const answer = await post(sim, rpc('problem.get', { sortfield: 'clock' }), sim.credential)

  assert.equal(said(answer), 'Sorting by field "clock" not allowed.')
})

test('Acknowledging is all or nothing, records a repetition once and a message each time', async (t) => {
  const sim = await start(t)
  const [one, two] = [sim.openProblem([sim.hosts.idOf.vm(0)], 'a'), sim.openProblem([sim.hosts.idOf.vm(1)], 'b')]
  const ask = async (params: object) => said(await post(sim, rpc('event.acknowledge', params), sim.writer))
  const written = (id: string) => sim.events.events.get(id)?.acknowledges.length

  assert.equal(
    await ask({ eventids: [one, '1'], action: 2 }),
    'No permissions to referred object or it does not exist!',
  )
  assert.deepEqual([written(one), written(two)], [0, 0])
  assert.deepEqual(await ask({ eventids: [Number(one), two], action: 2 }), { eventids: [Number(one), two] })
  await ask({ eventids: one, action: 2 })
  assert.equal(written(one), 1)
  await ask({ eventids: one, action: 4, message: 'm' })
  await ask({ eventids: one, action: 4, message: 'm' })
  assert.equal(written(one), 3)
  assert.match(String(await ask({ eventids: one, action: 4 })), /cannot be empty/)
  assert.match(String(await ask({ eventids: one, action: 1024 })), /unexpected value "1024"/)
})

test('A maintenance has a new name, known hosts, an end after its begin, and only known parameters', async (t) => {
  const sim = await start(t, { version: '7.2' })
  const hostid = String(sim.hosts.idOf.vm(0))
  const good = {
    name: 'M',
    active_since: 1_800_000_030,
    active_till: 1_800_003_600,
    hosts: [{ hostid }],
    timeperiods: [{}],
  }
  const ask = async (params: object) => said(await post(sim, rpc('maintenance.create', params), sim.writer))

  assert.deepEqual(await ask(good), { maintenanceids: ['1'] })
  assert.equal(sim.maintenances[0]?.['active_since'], '1800000000')
  assert.equal(await ask(good), 'Maintenance "M" already exists.')
  assert.match(await ask({ ...good, name: 'N', hosts: [{ hostid: '1' }] }), /does not exist/)
  assert.match(await ask({ ...good, name: 'N', hosts: [] }), /At least one/)
  assert.match(await ask({ ...good, name: 'N', active_till: 1 }), /must be greater/)
  assert.match(await ask({ ...good, name: 'N', hostids: [hostid] }), /unexpected parameter "hostids"/)
})

test('The switches over HTTP do what the functions do', async (t) => {
  const sim = await start(t)
  const change = async (path: string) => {
    const headers = { 'x-sim-admin': sim.adminToken, 'content-length': '0' }
    return new Promise<Loose>((resolve, reject) => {
      const call = request(
        `${sim.url}${path}`,
        { method: 'POST', ca: sim.caPem, headers, agent: false },
        (response) => {
          response.on('data', (chunk: Buffer) => resolve(JSON.parse(chunk.toString('utf8'))))
        },
      )
      call.on('error', reject)
      call.end()
    })
  }
  const { id: host } = await change('/__sim/host?name=new01')
  const { id: event } = await change(`/__sim/problem?host=${host}&name=Down&severity=5`)
  assert.deepEqual([sim.hosts.row(Number(host))?.name, sim.events.events.get(event)?.severity], ['new01', 5])
  await change(`/__sim/resolve?event=${event}`)
  assert.equal(sim.events.events.get(event)?.isOpen, false)
  await change(`/__sim/remove?host=${host}`)
  assert.equal(sim.hosts.row(Number(host)), undefined)
})
