import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { commvault } from '../../src/connectors/commvault/index.ts'
import { type Context, handlerOf } from '../../src/core/action.ts'
import { connectTo } from '../../src/testing/connector.ts'
import { makeCompany } from '../lib/company.ts'
import { startCommvault } from './start.ts'

const small = makeCompany({ devices: 24, vms: 12 })

async function start(t: TestContext) {
  const cv = await startCommvault({ truth: small })
  t.after(cv.stop)
  const as = (credential: Readonly<Record<string, string>>) => {
    const { config, http } = connectTo(t, commvault, { config: cv.config, credential, caPem: cv.caPem })
    /** Runs an action as the gate does: parsed input, a connection, a checked output. */
    return async (name: string, input: Record<string, unknown>) => {
      const action = commvault.actions.find((one) => one.name === name)
      assert.ok(action, name)
      const parsed = action.input.parse({ connection: 'cv', ...input })
      const context: Context = {
        principal: { id: 'usr_1', kind: 'user', name: 'Ana', bindings: [], version: '1' },
        door: 'http',
        requestId: 'req_1',
        signal: new AbortController().signal,
        connection: { id: 'con_1', config, http },
      }
      // biome-ignore lint/suspicious/noExplicitAny: each test knows its action's answer
      return action.output.parse(await handlerOf(action).run(parsed, context)) as any
    }
  }
  const sent = () => cv.requests.map(({ method, path, query }) => `${method} ${path}${query && `?${query}`}`)
  return { cv, read: as(cv.credential), write: as(cv.writer), sent }
}

test('Each action has its access and its route', () => {
  assert.deepEqual(
    commvault.actions.map(({ name, access, http }) => [name, access, http.method, http.path]),
    [
      ['commvault.jobs.list', 'read', 'GET', '/connections/{connection}/commvault/jobs'],
      ['commvault.job.get', 'read', 'GET', '/connections/{connection}/commvault/jobs/{id}'],
      ['commvault.backup.start', 'write', 'POST', '/connections/{connection}/commvault/backups'],
      ['commvault.job.kill', 'write', 'POST', '/connections/{connection}/commvault/jobs/{id}/kill'],
    ],
  )
})

test('Jobs are listed newest first, page by page, and of one client', async (t) => {
  const { cv, read } = await start(t)
  const running = String(cv.startJob('ams1-web0001'))

  const first = await read('commvault.jobs.list', { limit: 10, hours: 72 })
  const second = await read('commvault.jobs.list', { limit: 10, hours: 72, cursor: first.next })
  const active = await read('commvault.jobs.list', { category: 'active' })
  const client = cv.clientId('ams1-web0001')
  const own = await read('commvault.jobs.list', { client, hours: 72 })

  assert.deepEqual([first.items[0].id, first.items[0].hasEnded, first.next], [running, false, '10'])
  assert.equal(new Set([...first.items, ...second.items].map(({ id }) => id)).size, 20)
  assert.deepEqual(
    active.items.map(({ id }: { id: string }) => id),
    [running],
  )
  assert.deepEqual([...new Set(own.items.map(({ clientId }: { clientId: string }) => clientId))], [client])
  assert.equal(own.next, null)
})

test('A job is read while it goes on, and also when Commvault misses it for a moment', async (t) => {
  const { cv, read } = await start(t)
  const id = String(cv.startJob('ams1-web0001'))
  cv.fault({ kind: 'empty-job', path: '/commandcenter/api/Job/', count: 2 })

  const seen = []
  for (let n = 0; n < 3; n++) seen.push(await read('commvault.job.get', { id }))

  assert.deepEqual(
    seen.map(({ status, hasEnded }) => [status, hasEnded]),
    [
      ['queued', false],
      ['running', false],
      ['completed', true],
    ],
  )
  assert.equal(seen[2].url, `${cv.url}/commandcenter/#/jobs/${id}`)
})

test('A job that is not there is a not-found problem', async (t) => {
  const { read } = await start(t)

  await assert.rejects(read('commvault.job.get', { id: '7' }), { type: 'not-found', detail: /no such job/ })
})

test('A backup of a subclient is started once, and asked again answers the running job', async (t) => {
  const { cv, write, sent } = await start(t)
  const server = cv.machines.machine(0).hostName
  const [job] = (await write('commvault.jobs.list', { client: cv.clientId(server), hours: 72 })).items

  const first = await write('commvault.backup.start', { subclient: job.attributes.subclientId, level: 'full' })
  const again = await write('commvault.backup.start', { subclient: job.attributes.subclientId, level: 'full' })

  assert.equal(first.started, true)
  assert.deepEqual(again, { jobIds: first.jobIds, started: false })
  assert.deepEqual(
    sent().filter((line) => line.includes('/action/')),
    [`POST /commandcenter/api/Subclient/${job.attributes.subclientId}/action/backup?backupLevel=Full`],
  )
})

test('A virtual machine is backed up by its GUID', async (t) => {
  const { cv, write, sent } = await start(t)
  const { guid } = cv.machines.machine(cv.machines.servers)

  const { jobIds, started } = await write('commvault.backup.start', { vm: guid.toUpperCase() })

  assert.deepEqual([jobIds.length, started], [1, true])
  assert.equal(sent().at(-1), `POST /commandcenter/api/v2/vsa/vm/${guid}/backup?backupLevel=Incremental`)
})

test('A backup needs one target and a level that fits it', async (t) => {
  const { cv, write, sent } = await start(t)
  const { guid: vm } = cv.machines.machine(cv.machines.servers)
  for (const input of [{}, { subclient: '200', vm }, { vm, level: 'differential' }])
    await assert.rejects(write('commvault.backup.start', input), { type: 'invalid-input' })

  assert.deepEqual(sent(), [])
})

test('A subclient that is not there is a failure, and nothing is claimed to run', async (t) => {
  const { write } = await start(t)

  await assert.rejects(write('commvault.backup.start', { subclient: '77' }), {
    type: 'upstream-failed',
    detail: 'Commvault did not do this: error code 587205.',
  })
})

test('A start that names no job is told as that, since it may run all the same', async (t) => {
  const { cv, write } = await start(t)
  cv.fault({ kind: 'empty-body', path: '/commandcenter/api/Subclient/' })

  await assert.rejects(write('commvault.backup.start', { subclient: '200' }), {
    type: 'upstream-invalid',
    detail: /look at its job list before trying again/,
  })
})

test('A running job is killed, a job that has ended is left alone', async (t) => {
  const { cv, write, sent } = await start(t)
  const id = String(cv.startJob('ams1-web0001'))

  assert.deepEqual(await write('commvault.job.kill', { id }), { id, previousStatus: 'queued', changed: true })
  assert.deepEqual(await write('commvault.job.kill', { id }), { id, previousStatus: 'killed', changed: false })
  assert.equal(sent().filter((line) => line.endsWith('/action/kill')).length, 1)
})

test('An account that may only view is refused every write (claims: A35)', async (t) => {
  const { cv, read } = await start(t)
  const id = String(cv.startJob('ams1-web0001'))
  const refused = { type: 'upstream-denied', detail: 'The Commvault account lacks a permission for this.' }

  await assert.rejects(read('commvault.job.kill', { id }), refused)
  await assert.rejects(read('commvault.backup.start', { subclient: '500000' }), refused)
})

test('A write whose connection breaks is not sent again', async (t) => {
  const { cv, write, sent } = await start(t)
  cv.fault({ kind: 'drop', path: '/commandcenter/api/Subclient/', count: 5 })

  await assert.rejects(write('commvault.backup.start', { subclient: '200' }), { type: 'upstream-unreachable' })
  assert.equal(sent().filter((line) => line.includes('/Subclient/')).length, 1)
})

const hostile = [
  '../../Login',
  '1/../2',
  '1?x=1',
  '1#x',
  '1\r\nx: y',
  '%2e%2e',
  '1%2f..',
  '-1',
  '0',
  '1e9',
  ' 1',
  '１',
  '1'.repeat(16),
]
test('An id that could leave its place in a path is refused before anything is sent (claims: D16)', async (t) => {
  const { read, write, sent } = await start(t)
  for (const value of hostile) {
    for (const [run, name, input] of [
      [read, 'commvault.job.get', { id: value }],
      [read, 'commvault.jobs.list', { client: value }],
      [read, 'commvault.jobs.list', { cursor: `${value}x` }],
      [write, 'commvault.job.kill', { id: value }],
      [write, 'commvault.backup.start', { subclient: value }],
      [write, 'commvault.backup.start', { vm: value }],
      [write, 'commvault.backup.start', { subclient: '200', level: value }],
    ] as const)
      await assert.rejects(run(name, input), { name: 'ZodError' }, `${name} ${JSON.stringify(input)}`)
  }
  assert.deepEqual(sent(), [])
})
