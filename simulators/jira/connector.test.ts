import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import { jira } from '../../src/connectors/jira/index.ts'
import { type Context, handlerOf } from '../../src/core/action.ts'
import type { Cursor, SyncBatch } from '../../src/core/connector.ts'
import { Problem } from '../../src/core/problem.ts'
import type { HttpLimits } from '../../src/lib/http-client.ts'
import { connectTo } from '../../src/testing/connector.ts'
import { makeCompany } from '../lib/company.ts'
import { type JiraOptions, type JiraSimulator, startJira } from './start.ts'

// The connector, the real HTTP client and the simulated Jira, over TLS.

const truth = makeCompany({ devices: 96, vms: 250, now: new Date('2026-11-20T12:00:00Z') })
const deployments = ['cloud', 'datacenter'] as const
/** One for each virtual machine and each switch; two more have a security level. */
const openIssues = 250 + 8

type Options = JiraOptions & {
  readonly config?: Record<string, unknown>
  readonly as?: 'writer' | 'administrator'
  readonly limits?: Partial<HttpLimits>
}

async function connect(t: TestContext, { config, as, limits, ...options }: Options = {}) {
  const sim = await startJira({ truth, ...options })
  t.after(sim.stop)
  return { sim, ...connectedTo(t, sim, { ...(config && { config }), ...(as && { as }), ...(limits && { limits }) }) }
}

function connectedTo(
  t: TestContext,
  sim: JiraSimulator,
  { config, as, limits, caPem = sim.caPem }: Options & { caPem?: string },
) {
  const connected = connectTo(t, jira, {
    config: { ...sim.config, ...config },
    credential: as ? sim[as] : sim.credential,
    caPem,
    ...(limits && { limits }),
  })
  const call = async (name: string, input: Record<string, unknown>) => {
    const action = jira.actions.find((one) => one.name === name)
    assert.ok(action, name)
    const context = {
      connection: { id: 'con_1', ...connected.context },
      signal: connected.context.signal,
    } as unknown as Context
    return action.output.parse(
      await handlerOf(action).run(action.input.parse({ connection: 'j', ...input }), context),
    ) as Record<string, unknown>
  }
  return { ...connected, call }
}

const api = (deployment: string) => (deployment === 'cloud' ? '/rest/api/3' : '/jira/rest/api/2')
const searchOf = (deployment: string) => `${api(deployment)}/search`

/** Waits for something that another task does, at most two seconds. */
async function until(isSo: () => boolean) {
  for (let left = 400; !isSo(); left--) {
    assert.ok(left > 0, 'it did not happen')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

for (const deployment of deployments) {
  test(`${deployment}: a full sync reports each issue of the chosen projects once`, async (t) => {
    const { sim, check, sync } = await connect(t, { deployment, timeZone: 'Europe/Ljubljana' })

    assert.deepEqual(await check(), {
      version: deployment === 'cloud' ? '1001.0.0-SNAPSHOT' : '9.12.2',
      account: 'Atlas reader',
      warnings: [],
    })
    const { observations, batches } = await sync()

    assert.equal(observations.length, openIssues)
    assert.equal(new Set(observations.map(({ externalId }) => externalId)).size, openIssues)
    assert.ok(batches.every(({ full }) => full))
    const issue = sim.issues.issue(10_001) ?? assert.fail()
    assert.match(issue.summary, new RegExp(`${truth.vm(0).hostName}$`))
    assert.deepEqual(
      observations.find(({ externalId }) => externalId === '10001'),
      {
        kind: 'issue',
        externalId: '10001',
        name: `OPS-1 ${issue.summary}`,
        status: issue.status.toLowerCase(),
        url: `${sim.url}/browse/OPS-1`,
        attributes: {
          key: 'OPS-1',
          project: 'OPS',
          type: issue.type,
          priority: issue.priority,
          statusCategory: { 'To Do': 'new', 'In Progress': 'indeterminate', Done: 'done' }[issue.status],
          ...(issue.assignee && { assignee: issue.assignee.name }),
          reporter: issue.reporter.name,
          labels: issue.labels,
          createdAt: issue.createdAt.toISOString(),
          updatedAt: issue.updatedAt.toISOString(),
          ...(issue.status === 'Done' && { resolvedAt: issue.updatedAt.toISOString() }),
        },
        facts: { openedAt: issue.createdAt.toISOString() },
      },
    )
  })

  test(`${deployment}: an account that sees security levels does not bring their issues in`, async (t) => {
    const { sim, check, sync, call } = await connect(t, { deployment, as: 'administrator' })

    const { observations } = await sync()

    assert.equal(observations.length, openIssues)
    assert.doesNotMatch(JSON.stringify(observations), /Credentials found/)
    assert.deepEqual((await call('jira.issues.search', { words: 'credentials found' }))['items'], [])
    for (const key of ['OPS-251', 'HRX-1']) {
      await assert.rejects(call('jira.issue.get', { key }), { type: 'not-found' })
      await assert.rejects(call('jira.issue.comment', { key, text: 'x' }), { type: 'not-found' })
    }
    assert.deepEqual(sim.issues.comments(10_251), [])
    assert.deepEqual((await check()).warnings, [
      'The account administers Jira. Use an account that may only browse the chosen projects.',
    ])
  })

  for (const timeZone of ['UTC', 'Pacific/Kiritimati', 'America/Los_Angeles']) {
    test(`${deployment}: an incremental sync in ${timeZone} reads what changed, and nothing else`, async (t) => {
      const { sim, sync } = await connect(t, { deployment, timeZone, as: 'administrator' })
      // Asked for again, because of the hour that comes twice, but not reported again.
      sim.edit(10_004)
      sim.forward(30 * 60_000)
      const { cursor } = await sync()
      sim.edit(10_001, { summary: 'Disk fuller' })
      sim.edit(10_002, { level: 'Security team' })
      const made = sim.create({ project: 'NET', summary: 'New' })
      sim.requests.splice(0)

      const { observations, batches } = await sync(cursor)

      assert.deepEqual(observations.map(({ externalId, name }) => [externalId, name]).sort(), [
        ['10001', 'OPS-1 Disk fuller'],
        [String(made.id), `${made.key} New`],
      ])
      assert.deepEqual(
        batches.flatMap(({ gone = [] }) => gone),
        [{ kind: 'issue', externalId: '10002' }],
      )
      assert.ok(batches.every(({ full }) => full === undefined))
      assert.deepEqual(
        sim.requests.map(({ method, path, items }) => [method, path, items]),
        [
          ['GET', `${api(deployment)}/myself`, undefined],
          ['GET', `${api(deployment)}/project/OPS`, undefined],
          ['GET', `${api(deployment)}/project/NET`, undefined],
          ['POST', deployment === 'cloud' ? `${searchOf(deployment)}/jql` : searchOf(deployment), 4],
        ],
      )
    })
  }

  test(`${deployment}: an issue that the search does not know yet is found by the next run`, async (t) => {
    const { sim, sync } = await connect(t, { deployment })
    sim.holdIndex(true)
    sim.create({ project: 'OPS', summary: 'Just made' })
    sim.forward(60_000)
    const { cursor, observations } = await sync()
    assert.equal(observations.length, openIssues)

    sim.holdIndex(false)
    sim.forward(60_000)
    const next = await sync(cursor)
    assert.deepEqual(
      next.observations.map(({ name }) => name.replace(/^\S+ /, '')),
      ['Just made'],
    )
  })

  test(`${deployment}: everything is read again after a day, and when the projects change`, async (t) => {
    const { sim, sync } = await connect(t, { deployment })
    const { cursor } = await sync()
    sim.remove(10_003)

    assert.deepEqual(
      (await sync(cursor)).batches.flatMap(({ gone = [] }) => gone),
      [],
      'a deletion leaves no mark',
    )
    const fewer = await connectedTo(t, sim, { config: { projects: 'NET' } }).sync(cursor)
    assert.deepEqual([fewer.observations.length, fewer.batches.every(({ full }) => full)], [8, true])
    sim.forward(24 * 3_600_000)
    const { observations, batches } = await sync(cursor)
    assert.deepEqual([observations.length, batches.every(({ full }) => full)], [openIssues - 1, true])
  })

  test(`${deployment}: a credential that ends half way ends the run, so nothing becomes stale by it`, async (t) => {
    for (const tellsLoginReason of [true, false]) {
      const { sim, context } = await connect(t, { deployment, tellsLoginReason, config: { pageSize: 50 } })
      const steps = jira.sync?.({
        ...(context as never as { config: never; http: never; signal: never }),
        now: () => new Date(),
      })
      assert.ok(steps)
      const first = await steps.next()
      assert.equal((first.value as SyncBatch).observations?.length, 50)
      sim.revoke()

      await assert.rejects(drained(steps), { type: 'upstream-denied' })
    }
  })

  test(`${deployment}: issues are searched, read and commented on`, async (t) => {
    const { sim, call } = await connect(t, { deployment, as: 'writer' })
    const { hostName, fqdn } = truth.vm(7)

    const { items } = await call('jira.issues.search', { words: hostName, project: 'OPS' })
    const [found] = items as { key: string }[]
    assert.equal(found?.key, 'OPS-8')
    const all: string[] = []
    let cursor: unknown
    do {
      const page = await call('jira.issues.search', { limit: 100, ...(typeof cursor === 'string' && { cursor }) })
      all.push(...(page['items'] as { key: string }[]).map(({ key }) => key))
      cursor = page['next']
    } while (cursor !== null)
    assert.equal(new Set(all).size, openIssues)

    const made = await call('jira.issue.comment', { key: 'OPS-8', text: 'Disk grown.\n[~admin] {html}' })
    assert.equal(made['url'], `${sim.url}/browse/OPS-8?focusedCommentId=${made['id']}`)
    sim.issues.comment(10_008, { id: 'x', name: 'Eve' }, 'secret', 'Administrators')
    const read = await call('jira.issue.get', { key: 'OPS-8' })
    assert.match(String(read['description']), new RegExp(`^${fqdn} is a .*\nSee its runbook.$`))
    const text = deployment === 'cloud' ? 'Disk grown.\n[~admin] {html}' : 'Disk grown.\n\\[~admin\\] \\{html\\}'
    assert.deepEqual(
      (read['comments'] as { text: string }[]).map((one) => one.text),
      [text],
    )
  })

  test(`${deployment}: a reader is refused a comment, with a sentence`, async (t) => {
    const { call } = await connect(t, { deployment })

    await assert.rejects(call('jira.issue.comment', { key: 'OPS-8', text: 'x' }), {
      type: 'upstream-denied',
      detail:
        'The connected system answered 403: The Jira account lacks a permission for this, or must first pass a captcha in the browser.',
    })
  })

  const passing = [
    { kind: 'rate-limited', count: 2 },
    { kind: '429', count: 2, retryAfter: 0 },
    { kind: '503', count: 2 },
    { kind: 'reset', count: 2 },
    { kind: 'drop', count: 2 },
    { kind: 'slow', count: 2, ms: 20 },
  ]
  for (const fault of passing) {
    test(`${deployment}: a sync gets over ${fault.kind} ${fault.count} times and misses nothing`, async (t) => {
      const { sim, sync } = await connect(t, { deployment })
      sim.fault({ path: searchOf(deployment), ...fault })

      assert.equal((await sync()).observations.length, openIssues)
      assert.deepEqual(sim.faults.planned, [])
    })
  }

  const ending = [
    { kind: '401', type: 'upstream-denied', says: /wrong, expired or revoked/ },
    { kind: '403', type: 'upstream-denied', says: /captcha/ },
    { kind: '404', type: 'not-found', says: /may not see it/ },
    { kind: '410', type: 'upstream-failed', says: /no longer has that part/ },
    { kind: '429', count: 99, retryAfter: 3600, type: 'upstream-busy', says: /fewer requests/ },
    { kind: '503', count: 99, type: 'upstream-busy', says: /503/ },
    { kind: 'reset', count: 99, type: 'upstream-unreachable', says: /broke/ },
    { kind: 'malformed', type: 'upstream-invalid', says: /not valid JSON/ },
    { kind: 'html', type: 'upstream-invalid', says: /html instead of JSON/ },
    { kind: 'redirect', type: 'upstream-invalid', says: /not followed/ },
    { kind: 'hang', count: 99, type: 'upstream-timeout', says: /too long/ },
  ] as const
  for (const { type, says, ...fault } of ending) {
    test(`${deployment}: a sync ends in ${type} on ${fault.kind}${'count' in fault ? ' that does not stop' : ''} (claims: D30)`, async (t) => {
      const limits = fault.kind === 'hang' ? { headersMs: 60 } : {}
      const { sim, sync } = await connect(t, { deployment, limits })
      sim.fault({ path: searchOf(deployment), ...fault })

      await assert.rejects(sync(), (error) => {
        assert.ok(error instanceof Problem, String(error))
        assert.equal(error.type, type)
        assert.match(error.message, says)
        assert.doesNotMatch(error.message, /127\.0\.0\.1|localhost|ATATT|https?:/)
        return true
      })
    })
  }

  test(`${deployment}: a wrong credential is refused by check, sync and search`, async (t) => {
    const sim = await startJira({ truth, deployment })
    t.after(sim.stop)
    sim.revoke()
    const { check, sync, call } = connectedTo(t, sim, {})

    for (const done of [check(), sync(), call('jira.issues.search', {})])
      await assert.rejects(done, { type: 'upstream-denied', detail: /credential/ })
  })

  test(`${deployment}: a project that the account does not see ends a sync`, async (t) => {
    const { check, sync } = await connect(t, { deployment, config: { projects: 'OPS,HRX' } })

    assert.deepEqual((await check()).warnings, ['The account does not see the project HRX: a sync would fail.'])
    await assert.rejects(sync(), { type: 'upstream-denied', detail: /the project HRX/ })
  })

  test(`${deployment}: a cursor of another search is refused`, async (t) => {
    const { call } = await connect(t, { deployment })
    const { next } = await call('jira.issues.search', { limit: 5 })
    const cursor = deployment === 'cloud' ? next : 'CAEaAggD'

    await assert.rejects(call('jira.issues.search', { limit: 5, label: 'backup', cursor }), { type: 'invalid-input' })
  })

  test(`${deployment}: the certificate of another authority is refused (claims: D12)`, async (t) => {
    const { sim } = await connect(t, { deployment })
    const other = await startJira({ truth })
    t.after(other.stop)

    await assert.rejects(connectedTo(t, sim, { caPem: other.caPem }).check(), { type: 'upstream-untrusted' })
    assert.deepEqual(sim.requests, [])
  })
}

async function drained(steps: AsyncGenerator<SyncBatch, Cursor>) {
  while (!(await steps.next()).done);
}

test('With offsets, an issue deleted while the list is read hides no other', async (t) => {
  const { sim, context } = await connect(t, { deployment: 'datacenter', config: { pageSize: 20, projects: 'OPS' } })
  const steps = jira.sync?.({
    ...(context as never as { config: never; http: never; signal: never }),
    now: () => new Date(),
  })
  assert.ok(steps)
  const seen = new Set<string>()
  for (let step = await steps.next(); !step.done; step = await steps.next()) {
    const ids = (step.value.observations ?? []).map(({ externalId }) => externalId)
    for (const id of ids) seen.add(id)
    if (seen.size < 100) sim.remove(Number(ids[0]))
  }

  for (const id of sim.issues.ids('OPS').slice(0, 250))
    if (sim.issues.issue(id)?.level === undefined) assert.ok(seen.has(String(id)), String(id))
})

test('Cloud refuses what is not bounded, sends ids alone unless told, and has no old search', async (t) => {
  const { http } = await connect(t)
  const path = '/rest/api/3/search/jql'
  const Ids = z.object({ issues: z.array(z.strictObject({ id: z.string(), key: z.string(), self: z.string() })) })

  await assert.rejects(http.send('POST', path, z.unknown(), { jql: 'order by updated desc' }), {
    type: 'upstream-failed',
  })
  assert.equal((await http.send('POST', path, Ids, { jql: 'project = OPS', maxResults: 3 })).issues.length, 3)
  await assert.rejects(http.get('/rest/api/3/search', z.unknown(), { jql: 'project = OPS' }), {
    type: 'upstream-failed',
  })
})

test('What callers send arrives encoded, in its place (claims: D16)', async (t) => {
  const { sim, call } = await connect(t)
  for (const words of ['../../admin', 'a?b=c', 'a#b', '%2e%2e/', 'a" OR project = "HRX']) {
    sim.requests.splice(0)
    await call('jira.issues.search', { words, status: words })
    assert.deepEqual(
      sim.requests.map(({ method, path, query, status }) => [method, path, query, status]),
      [['POST', '/rest/api/3/search/jql', '', 200]],
    )
  }
  sim.requests.splice(0)
  await call('jira.issue.get', { key: 'OPS-1' })
  assert.deepEqual(
    sim.requests.map(({ path }) => path),
    ['/rest/api/3/issue/OPS-1'],
  )
})

test('Webhooks are signed, and one that failed comes again under the same identifier', async (t) => {
  const { sim } = await connect(t)
  const received: { headers: Record<string, string | undefined>; body: string }[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    received.push({ headers: request.headers as Record<string, string>, body: Buffer.concat(chunks).toString() })
    response.writeHead(received.length < 3 ? 503 : 204).end()
  }).listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  sim.webhookTo({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, secret: 's3cret' })

  sim.edit(10_001)
  await until(() => sim.deliveries.length === 3)

  const { signature } = jira.webhook ?? assert.fail()
  assert.equal(new Set(received.map(({ body }) => body)).size, 1)
  assert.deepEqual(
    received.map(({ headers }) => headers['x-atlassian-webhook-retry']),
    [undefined, '1', '2'],
  )
  for (const { headers, body } of received)
    assert.equal(
      headers[signature.header],
      `${signature.prefix}${createHmac('sha256', 's3cret').update(body).digest('hex')}`,
    )
})
