import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Observation } from '../../core/connector.ts'
import { upstream } from '../../testing/upstream.ts'
import { explain } from './explain.ts'
import { commvault } from './index.ts'

const config = { url: 'https://backup.example.net', apiPath: '/commandcenter/api', jobDays: 3, pageSize: 500 } as const
const now = () => new Date('2026-11-26T12:00:00Z')
const api = '/commandcenter/api'
const paging = { requestHeaders: { paginginfo: '0,500' } }

function jobsBody(more: { category?: number; limit?: number; offset?: number; filter: object }) {
  const { category = 0, limit = 500, offset = 0, filter } = more
  return {
    scope: 1,
    category,
    pagingConfig: { sortField: 'jobId', sortDirection: 1, offset, limit },
    jobFilter: { showAgedJobs: false, hideAdminJobs: true, clientList: [], jobTypeList: [], ...filter },
  }
}
const own = (clientId: number, reply: string) => ({
  request: `POST ${api}/Jobs`,
  body: jobsBody({
    category: 2,
    limit: 100,
    filter: { completedJobLookupTime: 315_360_000, showAgedJobs: true, clientList: [{ clientId }] },
  }),
  reply,
})

test('A full sync asks exactly this and reports each thing with what is known of it', async (t) => {
  const context = upstream(
    t,
    import.meta.dirname,
    [
      { request: `GET ${api}/CommServ`, reply: 'commserv.json', headers: { date: 'Thu, 26 Nov 2026 12:00:00 GMT' } },
      { request: `GET ${api}/StoragePool`, reply: 'storage-pools.json' },
      { request: `GET ${api}/Client?PseudoClientType=VSPseudo`, reply: 'hypervisors.json' },
      { request: `GET ${api}/VM`, reply: 'virtual-machines.json', ...paging },
      {
        request: `POST ${api}/Jobs`,
        body: jobsBody({ filter: { completedJobLookupTime: 259_200 } }),
        reply: 'jobs.json',
      },
      { request: `GET ${api}/VM`, reply: 'virtual-machines.json', ...paging },
      { request: `GET ${api}/Client`, reply: 'clients.json' },
      own(35, 'jobs-of-35.json'),
      own(36, 'empty.json'),
    ],
    { config, now },
  )
  const seen: Observation[] = []
  const steps = commvault.sync?.(context)
  let step = await steps?.next()
  for (; step && !step.done; step = await steps?.next()) {
    assert.equal(step.value.full, true)
    seen.push(...(step.value.observations ?? []))
  }

  assert.deepEqual(step?.value, { since: '2026-11-26T12:00:00.000Z', lastClient: 902 })
  assert.deepEqual(
    seen.map(({ kind, externalId, name, status, facts, machine }) => ({
      is: `${kind} ${externalId} ${name}`,
      status,
      facts,
      machine,
    })),
    [
      { is: 'storage-pool 3 disk', status: 'online', facts: { usedPercent: 87.5 }, machine: undefined },
      { is: 'storage-pool 4 cloud', status: '0', facts: undefined, machine: undefined },
      { is: 'storage-pool 5 new', status: undefined, facts: undefined, machine: undefined },
      { is: 'job 884214 Restore of sql01 (884214)', status: 'running', facts: undefined, machine: undefined },
      { is: 'job 884213 Backup of app01 (884213)', status: 'completed', facts: undefined, machine: undefined },
      {
        is: 'virtual-machine 902 app01',
        status: 'protected',
        facts: { backupAt: '2026-11-21T23:26:40.000Z' },
        machine: { form: 'virtual', hostNames: ['app01'] },
      },
      {
        is: 'virtual-machine 5012AB00-0000-4000-8000-000000000002 app02',
        status: 'unknown',
        facts: undefined,
        machine: { form: 'virtual', hostNames: ['app02'] },
      },
      { is: 'client 34 vcenter-ams', status: undefined, facts: undefined, machine: undefined },
      {
        is: 'client 35 SQL01 (finance)',
        status: undefined,
        facts: { backupAt: '2026-10-29T19:53:20.000Z' },
        machine: { fqdns: ['sql01.example.net'] },
      },
      { is: 'client 36 old-nas', status: undefined, facts: { backupAt: null }, machine: {} },
    ],
  )
  assert.deepEqual(
    seen.flatMap(({ relations = [] }) => relations.map(({ kind, externalId }) => `${kind} ${externalId}`)),
    ['client 35', 'virtual-machine 902', 'client 34'],
  )
  assert.deepEqual(seen.at(-1)?.addresses, ['10.0.0.9'])
})

test('A machine whose jobs never end well is given up after twenty pages, and nothing is said of it', async (t) => {
  const client = { clientEntity: { clientId: 36, clientName: 'busy' } }
  const page = (first: number) => ({
    totalRecordsWithoutPaging: 5000,
    jobs: Array.from({ length: 100 }, (_, i) => ({
      jobSummary: { jobId: 900_000 - first - i, jobType: 'Backup', status: 'Failed', subclient: { clientId: 36 } },
    })),
  })
  const filter = { completedJobLookupTime: 315_360_000, showAgedJobs: true, clientList: [{ clientId: 36 }] }
  const context = upstream(
    t,
    import.meta.dirname,
    [
      { request: `GET ${api}/CommServ`, reply: 'commserv.json', headers: { date: 'Thu, 26 Nov 2026 12:00:00 GMT' } },
      { request: `GET ${api}/StoragePool`, reply: {} },
      { request: `GET ${api}/Client?PseudoClientType=VSPseudo`, reply: {} },
      { request: `GET ${api}/VM`, reply: {}, ...paging },
      { request: `POST ${api}/Jobs`, body: jobsBody({ filter: { completedJobLookupTime: 259_200 } }), reply: {} },
      { request: `GET ${api}/VM`, reply: {}, ...paging },
      { request: `GET ${api}/Client`, reply: { clientProperties: [{ client }] } },
      ...Array.from({ length: 20 }, (_, n) => ({
        request: `POST ${api}/Jobs`,
        body: jobsBody({ category: 2, limit: 100, offset: n * 100, filter }),
        reply: page(n * 100),
      })),
    ],
    { config, now },
  )
  const seen: Observation[] = []
  for await (const { observations = [] } of commvault.sync?.(context) ?? []) seen.push(...observations)

  assert.deepEqual(
    seen.map(({ name, facts, machine }) => ({ name, facts, machine })),
    [{ name: 'busy', facts: undefined, machine: { hostNames: ['busy'] } }],
  )
})

const denied = { type: 'upstream-denied', detail: 'The Commvault account lacks a permission for this.' }
const failed = (code: number) => ({
  type: 'upstream-failed',
  detail: `Commvault did not do this: error code ${code}.`,
})
const replies: readonly (readonly [string, number, unknown, unknown])[] = [
  ['success without a code', 200, { jobs: [] }, undefined],
  ['success with code 0', 200, { errorCode: 0, errorMessage: '' }, undefined],
  ['success in every shape', 200, { error: { errorCode: 0 }, errList: [], response: [{ errorCode: 0 }] }, undefined],
  ['a code beside a message', 200, { errorCode: 5, errorMessage: 'Access denied for bob at cs01' }, denied],
  ['a code as text', 200, { errorCode: '5' }, denied],
  ['an error object', 200, { error: { errorCode: 3, errorMessage: 'x' } }, failed(3)],
  ['a list', 200, { errList: [{ errorCode: 587, errLogMessage: 'cs01' }] }, failed(587)],
  ['a list inside an error', 200, { error: { errList: [{ errorCode: 9 }] } }, failed(9)],
  [
    'a list inside errors',
    200,
    { errors: [{ errList: [{ errorCode: 0 }] }, { errList: [{ errorCode: 2 }] }] },
    failed(2),
  ],
  ['a response list', 200, { response: [{ errorCode: 7, errorString: 'x' }] }, failed(7)],
  ['a good login', 200, { token: 'QSDK 1', errList: [], isAccountLocked: false, remainingLockTime: 0 }, undefined],
  [
    'a locked account without an end',
    200,
    { isAccountLocked: true, errList: [{ errorCode: 1 }] },
    { type: 'upstream-denied', detail: 'The Commvault account is locked. An administrator has to unlock it.' },
  ],
  ['a failed status with a code', 500, { errorCode: 12 }, 'Commvault did not do this: error code 12.'],
  ['text', 500, 'Runtime error', undefined],
  ['an array', 200, [{ errorCode: 5 }], undefined],
]
for (const [title, status, body, meaning] of replies) {
  test(`A reply is understood: ${title} (claims: D30)`, () => assert.deepEqual(explain(status, body), meaning))
}

const credentials: readonly (readonly [string, object, boolean])[] = [
  ['a name and a password', { username: 'a', password: 'b' }, true],
  ['a pair of tokens', { accessToken: 'a', refreshToken: 'b' }, true],
  ['a name alone', { username: 'a' }, false],
  ['half a pair', { accessToken: 'a' }, false],
  ['both', { username: 'a', password: 'b', accessToken: 'a', refreshToken: 'b' }, false],
  ['nothing', {}, false],
]
for (const [title, given, isGood] of credentials) {
  test(`A credential of ${title} is ${isGood ? 'taken' : 'refused'}`, () =>
    // As the hub parses it.
    assert.equal(commvault.credential.strict().safeParse(given).success, isGood))
}

const addresses: readonly (readonly [string, boolean])[] = [
  ['https://backup.example.net', true],
  ['https://backup.example.net:8443/', true],
  ['http://backup.example.net', false],
  ['https://backup.example.net/commandcenter/api', false],
  ['https://user@backup.example.net', false],
  ['https://backup.example.net?x=1', false],
]
for (const [url, isGood] of addresses) {
  test(`The address ${url} is ${isGood ? 'taken' : 'refused'} (claims: D11)`, () =>
    assert.equal(commvault.config.safeParse({ url }).success, isGood))
}
