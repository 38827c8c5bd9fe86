import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { confluence } from '../../src/connectors/confluence/index.ts'
import { type Context, handlerOf } from '../../src/core/action.ts'
import { Problem } from '../../src/core/problem.ts'
import type { HttpLimits } from '../../src/lib/http-client.ts'
import { connectTo } from '../../src/testing/connector.ts'
import { makeCompany } from '../lib/company.ts'
import { type Confluence, type ConfluenceOptions, startConfluence } from './start.ts'

// The connector, the real HTTP client and the simulated Confluence, over TLS.

const truth = makeCompany({ devices: 96, vms: 120, now: new Date('2026-11-20T12:00:00Z') })
const deployments = ['cloud', 'datacenter'] as const
/** 7 fixed pages of which 3 are restricted, a site, 2 clusters, 120 machines; 13 of the knowledge base. */
const openPages = 4 + 1 + 1 + 120 + 13

type Options = ConfluenceOptions & {
  readonly config?: Record<string, unknown>
  readonly as?: 'writer' | 'administrator'
  readonly limits?: Partial<HttpLimits>
}

async function connect(t: TestContext, { config, as, limits, ...options }: Options = {}) {
  const wiki = await startConfluence({ truth, ...options })
  t.after(wiki.stop)
  return { wiki, ...connectedTo(t, wiki, { ...(config && { config }), ...(as && { as }), ...(limits && { limits }) }) }
}

function connectedTo(
  t: TestContext,
  wiki: Confluence,
  { config, as, limits, caPem = wiki.caPem }: Options & { caPem?: string },
) {
  const connected = connectTo(t, confluence, {
    config: { ...wiki.config, ...config },
    credential: as ? wiki[as] : wiki.credential,
    caPem,
    ...(limits && { limits }),
  })
  const call = async (name: string, input: Record<string, unknown>) => {
    const action = confluence.actions.find((one) => one.name === name)
    assert.ok(action, name)
    const context = {
      connection: { id: 'con_1', ...connected.context },
      signal: connected.context.signal,
    } as unknown as Context
    return action.output.parse(
      await handlerOf(action).run(action.input.parse({ connection: 'w', ...input }), context),
    ) as Record<string, unknown>
  }
  return { ...connected, call }
}

const idOf = ({ pages }: Confluence, title: string) =>
  [...pages.ids('OPS'), ...pages.ids('KB')].find((id) => pages.page(id)?.title === title) ?? assert.fail(title)

/** Waits for something that another task does, at most two seconds. */
async function until(isSo: () => boolean) {
  for (let left = 400; !isSo(); left--) {
    assert.ok(left > 0, 'it did not happen')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

for (const deployment of deployments) {
  test(`${deployment}: a full sync reports each open page of the chosen spaces once`, async (t) => {
    const { wiki, check, sync } = await connect(t, { deployment })

    assert.deepEqual(await check(), {
      version: deployment === 'cloud' ? 'Cloud' : '9.2.1',
      account: 'Atlas reader',
      warnings: [],
    })
    const { observations, batches } = await sync()

    assert.equal(observations.length, openPages)
    assert.equal(new Set(observations.map(({ externalId }) => externalId)).size, openPages)
    assert.ok(batches.every(({ full }) => full))
    assert.ok(wiki.requests.every(({ method }) => method === 'GET'))
    const vm = truth.vm(0)
    const id = idOf(wiki, `Runbook ${vm.hostName}`)
    const page = wiki.pages.page(id)
    assert.deepEqual(
      observations.find(({ externalId }) => externalId === String(id)),
      {
        kind: 'page',
        externalId: String(id),
        name: `Runbook ${vm.hostName}`,
        status: 'current',
        url: `${wiki.url}/${deployment === 'cloud' ? `spaces/OPS/pages/${id}` : `display/OPS/${id}`}`,
        attributes: {
          space: 'OPS',
          labels: page?.labels,
          version: page?.version,
          author: page?.author.name,
          editor: page?.editor.name,
          createdAt: page?.createdAt.toISOString(),
          modifiedAt: page?.modifiedAt.toISOString(),
        },
        relations: [{ type: 'part-of', kind: 'page', externalId: String(idOf(wiki, 'Runbooks')) }],
        facts: { createdAt: page?.createdAt.toISOString() },
      },
    )
  })

  test(`${deployment}: an account that sees restricted pages does not bring them in, nor the pages below them`, async (t) => {
    const { wiki, check, sync, call } = await connect(t, {
      deployment,
      as: 'administrator',
      config: { excerpts: true },
    })
    // The child has the smaller id here, so its restricted parent is not known yet when it is met.
    const late = wiki.create({ space: 'OPS', title: 'Audit findings', storage: '<p>x</p>', readers: ['security'] })
    wiki.touch(idOf(wiki, `Runbook ${truth.vm(1).hostName}`), { parent: late.id })
    const forbidden = [
      'Break-glass access',
      'Break-glass codes',
      'On-call phone numbers',
      'Audit findings',
      `Runbook ${truth.vm(1).hostName}`,
    ]

    const { observations } = await sync()

    assert.deepEqual(
      observations.filter(({ name }) => forbidden.includes(name)),
      [],
    )
    assert.equal(observations.length, openPages - 1)
    assert.doesNotMatch(JSON.stringify(observations), /4711/)
    for (const title of forbidden) {
      const id = String(idOf(wiki, title))
      await assert.rejects(call('confluence.page.get', { id }), { type: 'not-found' }, title)
      await assert.rejects(call('confluence.page.attach', { id, fileName: 'a', content: 'a' }), { type: 'not-found' })
      const { items } = await call('confluence.pages.search', { title })
      assert.deepEqual(
        (items as { id: string }[]).filter((one) => one.id === id),
        [],
        title,
      )
    }
    await assert.rejects(call('confluence.page.get', { id: '60000002' }), { type: 'not-found' }, 'another space')
    const { warnings } = await check()
    assert.deepEqual(
      warnings,
      deployment === 'cloud'
        ? ['The account administers Confluence. Use an account that may only view the chosen spaces.']
        : [],
    )
  })

  test(`${deployment}: an incremental sync reports what changed and what is gone, and nothing else`, async (t) => {
    const { wiki, sync } = await connect(t, { deployment, as: 'administrator', config: { pageSize: 50 } })
    const { cursor } = await sync()
    const [edited, trashed, closed] = [0, 1, 2].map((index) => idOf(wiki, `Runbook ${truth.vm(index).hostName}`)) as [
      number,
      number,
      number,
    ]
    wiki.edit(edited, { title: 'Runbook, better' })
    wiki.trash(trashed)
    wiki.edit(closed, { readers: ['security'] })
    const made = wiki.create({ space: 'KB', title: 'New', storage: '<p>New.</p>' })
    wiki.requests.splice(0)

    const { observations, batches } = await sync(cursor)

    assert.deepEqual(
      observations.map(({ externalId, name }) => [externalId, name]),
      [
        [String(edited), 'Runbook, better'],
        [String(made.id), 'New'],
      ],
    )
    assert.deepEqual(
      batches.flatMap(({ gone = [] }) => gone),
      [
        { kind: 'page', externalId: String(trashed) },
        { kind: 'page', externalId: String(closed) },
      ],
    )
    assert.ok(batches.every(({ full }) => full === undefined))
    // Beside the two pages of 50 that the newest changes are on.
    const listed = wiki.requests.filter(({ query }) => !query.includes('id+in'))
    assert.equal(
      listed.reduce((sum, { items = 0 }) => sum + items, 0),
      50 + 14 + 1 + (deployment === 'cloud' ? 2 : 0),
    )
  })

  test(`${deployment}: pages that the search index does not have yet are not missed`, async (t) => {
    const { wiki, sync } = await connect(t, { deployment })
    wiki.holdIndex(true)
    const made = wiki.create({ space: 'OPS', title: 'Just written', storage: '<p>New.</p>' })

    const full = await sync()
    assert.equal(full.observations.filter(({ name }) => name === 'Just written').length, 1)

    wiki.edit(made.id, { title: 'Just changed' })
    wiki.forward(60_000)
    const first = await sync(full.cursor)
    wiki.holdIndex(false)
    wiki.forward(60_000)
    const second = await sync(first.cursor)
    const names = [...first.observations, ...second.observations].map(({ name }) => name)
    assert.deepEqual([...new Set(names)], ['Just changed'])
  })

  test(`${deployment}: everything is read again after a day, and when the settings change`, async (t) => {
    const { wiki, sync } = await connect(t, { deployment })
    const { cursor } = await sync()
    const restricted = idOf(wiki, `Runbook ${truth.vm(0).hostName}`)
    wiki.touch(restricted, { readers: ['security'] })

    assert.deepEqual((await sync(cursor)).observations, [], 'a restriction alone leaves no mark')
    const fewer = await connectedTo(t, wiki, { config: { spaces: 'KB' } }).sync(cursor)
    assert.deepEqual([fewer.observations.length, fewer.batches.every(({ full }) => full)], [13, true])
    wiki.forward(24 * 3_600_000)
    const { observations, batches } = await sync(cursor)
    assert.deepEqual([observations.length, batches.every(({ full }) => full)], [openPages - 1, true])
  })

  test(`${deployment}: a table is published once, replaced by Atlas alone, and a version conflict writes nothing`, async (t) => {
    const { wiki, call } = await connect(t, { deployment, as: 'writer' })
    const table = { space: 'OPS', title: 'Backups <today>', columns: ['Host', 'Age'], rows: [['ams1-db0001 & co', 9]] }

    const made = await call('confluence.page.publish-table', { ...table, parentId: String(idOf(wiki, 'Runbooks')) })
    const replaced = await call('confluence.page.publish-table', { ...table, rows: [['<b>', null]], version: 1 })

    assert.deepEqual([made['version'], made['isNew'], replaced['version'], replaced['isNew']], [1, true, 2, false])
    const page = wiki.pages.page(Number(made['id']))
    assert.equal(page?.parent, idOf(wiki, 'Runbooks'))
    assert.match(page?.storage ?? '', /<tr><td>&#60;b&#62;<\/td><td><\/td><\/tr>/)
    const read = await call('confluence.page.get', { id: made['id'] })
    assert.match(String(read['text']), /^Host\tAge\n<b>/)

    await assert.rejects(call('confluence.page.publish-table', { ...table, title: 'None', version: 1 }), {
      type: 'conflict',
    })
    wiki.touch(Number(made['id']), { readers: ['security'] })
    const asAdmin = connectedTo(t, wiki, { as: 'administrator' })
    await assert.rejects(asAdmin.call('confluence.page.publish-table', table), { type: 'conflict' })
    wiki.touch(Number(made['id']), { readers: [] })
    await assert.rejects(call('confluence.page.publish-table', { ...table, version: 1 }), { type: 'conflict' })
    await assert.rejects(call('confluence.page.publish-table', { ...table, title: 'Runbooks' }), {
      type: 'conflict',
      detail: 'A page of that title is there that Atlas did not publish; it is left alone',
    })
    await assert.rejects(call('confluence.page.publish-table', { ...table, title: 'Break-glass codes' }), {
      type: 'conflict',
    })
    await assert.rejects(call('confluence.page.publish-table', { ...table, space: 'HR' }), { type: 'not-found' })
    await assert.rejects(call('confluence.page.publish-table', { ...table, title: 'Other', parentId: '50000001' }), {
      type: 'invalid-input',
    })
    assert.equal(wiki.pages.page(idOf(wiki, 'Runbooks'))?.storage, '<p>One page for each machine.</p>')
    assert.equal(wiki.pages.page(Number(made['id']))?.version, 2)
  })

  test(`${deployment}: somebody else's edit between reading and writing is a conflict`, async (t) => {
    const { wiki, call } = await connect(t, { deployment, as: 'writer' })
    const table = { space: 'OPS', title: 'Backups', columns: ['Host'], rows: [['a']] }
    const { id } = await call('confluence.page.publish-table', table)
    wiki.fault({
      kind: 'slow',
      ms: 50,
      path: `/${deployment === 'cloud' ? 'wiki' : 'confluence'}/rest/api/content/98305/restriction`,
    })

    const writing = call('confluence.page.publish-table', table)
    await until(() => wiki.faults.planned.length === 0)
    wiki.edit(Number(id))

    await assert.rejects(writing, { type: 'conflict', detail: 'The page changed in Confluence since it was read' })
  })

  test(`${deployment}: a file is attached, and then a new version of it`, async (t) => {
    const { wiki, call } = await connect(t, { deployment, as: 'writer' })
    const id = idOf(wiki, 'Runbooks')
    const file = {
      id: String(id),
      fileName: 'poročilo.bin',
      contentType: 'application/octet-stream',
      encoding: 'base64',
    }

    const first = await call('confluence.page.attach', {
      ...file,
      content: Buffer.from([0, 255, 13, 10, 45, 45]).toString('base64'),
      comment: 'čšž',
    })
    const second = await call('confluence.page.attach', { ...file, encoding: 'text', content: 'a'.repeat(3_000_000) })

    assert.deepEqual([first['version'], first['isNew'], second['version'], second['isNew']], [1, true, 2, false])
    assert.equal(second['id'], first['id'])
    assert.deepEqual(wiki.pages.attachments(id), [
      {
        id: first['id'],
        version: 2,
        fileName: 'poročilo.bin',
        contentType: 'application/octet-stream',
        bytes: 3_000_000,
        comment: '',
      },
    ])
  })

  test(`${deployment}: a reader is refused every write, with a sentence`, async (t) => {
    const { wiki, call } = await connect(t, { deployment })
    const refusal = {
      type: 'upstream-denied',
      detail: 'The connected system answered 403: The Confluence account lacks a permission for this.',
    }
    const table = { space: 'OPS', title: 'T', columns: ['a'], rows: [] }

    await assert.rejects(call('confluence.page.publish-table', table), refusal)
    await assert.rejects(
      call('confluence.page.attach', { id: String(idOf(wiki, 'Runbooks')), fileName: 'a', content: 'a' }),
      refusal,
    )
  })

  const passing = [
    { kind: '429', count: 2, retryAfter: 0 },
    { kind: '503', count: 2 },
    { kind: 'reset', count: 2 },
    { kind: 'drop', count: 2 },
    { kind: 'slow', count: 2, ms: 20 },
  ]
  for (const fault of passing) {
    test(`${deployment}: a sync gets over ${fault.kind} ${fault.count} times and misses nothing`, async (t) => {
      const { wiki, sync } = await connect(t, { deployment })
      wiki.fault({ path: deployment === 'cloud' ? '/wiki/api/v2/pages' : '/confluence/rest/api/content', ...fault })

      assert.equal((await sync()).observations.length, openPages)
      assert.deepEqual(wiki.faults.planned, [])
    })
  }

  const ending = [
    { kind: '401', type: 'upstream-denied', says: /wrong, expired or revoked/ },
    { kind: '403', type: 'upstream-denied', says: /lacks a permission/ },
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
      const { wiki, sync } = await connect(t, { deployment, limits })
      wiki.fault({ path: deployment === 'cloud' ? '/wiki/api/v2/pages' : '/confluence/rest/api/content', ...fault })

      await assert.rejects(sync(), (error) => {
        assert.ok(error instanceof Problem, String(error))
        assert.equal(error.type, type)
        assert.match(error.message, says)
        assert.doesNotMatch(error.message, /127\.0\.0\.1|localhost|ATATT|https?:/)
        return true
      })
    })
  }

  test(`${deployment}: a wrong credential is refused, also by a site that answers strangers`, async (t) => {
    const wiki = await startConfluence({ truth, deployment })
    t.after(wiki.stop)
    const wrong =
      deployment === 'cloud' ? { email: 'a@example.net', apiToken: 'wrong' } : { personalAccessToken: 'wrong' }
    const { check, sync } = connectTo(t, confluence, { config: wiki.config, credential: wrong, caPem: wiki.caPem })

    await assert.rejects(check(), { type: 'upstream-denied' })
    wiki.fault({ kind: 'anonymous', count: 99 })
    const anonymous = { type: 'upstream-denied', detail: /anonymous visitor/ }
    await assert.rejects(check(), anonymous)
    await assert.rejects(sync(), anonymous)
  })

  test(`${deployment}: a space that the account does not see ends a sync, so nothing becomes stale by it`, async (t) => {
    const { check, sync } = await connect(t, { deployment, config: { spaces: 'OPS,HR' } })

    assert.deepEqual((await check()).warnings, ['The account does not see the space HR: a sync would fail.'])
    await assert.rejects(sync(), { type: 'upstream-denied', detail: /the space HR/ })
  })
}

test('The certificate of another authority is refused (claims: D12)', async (t) => {
  const { wiki } = await connect(t)
  const other = await startConfluence({ truth })
  t.after(other.stop)

  await assert.rejects(connectedTo(t, wiki, { caPem: other.caPem }).check(), { type: 'upstream-untrusted' })
  assert.deepEqual(wiki.requests, [])
})

test('What callers send arrives encoded, in its place (claims: D16)', async (t) => {
  const { wiki, call } = await connect(t, { as: 'writer' })
  const hostile = ['../../admin', 'a?b=c', 'a#b', 'a&limit=1', '%2e%2e/', 'a" OR space = "HR']
  const fixed = 'type = page and space in ("OPS","KB") and title ~ "'
  for (const title of hostile) {
    wiki.requests.splice(0)
    await call('confluence.pages.search', { title })
    const [first] = wiki.requests
    const query = new URLSearchParams(first?.query)
    assert.equal(first?.path, '/wiki/rest/api/search')
    assert.deepEqual([...query.keys()], ['cql', 'limit', 'excerpt', 'expand'])
    assert.match(query.get('cql')?.slice(fixed.length) ?? '', /^[\w. -]+" order by lastmodified desc$/)
  }
  for (const fileName of ['a&b=c', 'a#b', 'a b+c', "a';x"]) {
    wiki.requests.splice(0)
    const { id } = await call('confluence.page.attach', { id: '98306', fileName, content: 'x' })
    const [read, sent] = wiki.requests.slice(-2)
    assert.deepEqual(
      [read?.path, [...new URLSearchParams(read?.query)]],
      [
        '/wiki/rest/api/content/98306/child/attachment',
        [
          ['filename', fileName],
          ['limit', '5'],
        ],
      ],
    )
    assert.equal(sent?.query, '')
    assert.equal(wiki.pages.attachments(98_306).find((one) => one.id === id)?.fileName, fileName)
  }
})

test('A v2 cursor with other filters, and CQL that cannot be parsed, are refused', async (t) => {
  const { wiki, http } = await connect(t)
  const { z } = await import('zod')
  const Next = z.object({ _links: z.object({ next: z.string() }) })
  const { _links } = await http.get('/api/v2/pages', Next, { 'space-id': 65537, limit: 5 })
  const cursor = new URLSearchParams(_links.next.split('?')[1]).get('cursor') ?? ''

  assert.match(_links.next, /^\/wiki\/api\/v2\/pages\?/)
  const other = http.get('/api/v2/pages', z.unknown(), { 'space-id': 65538, limit: 5, cursor })
  await assert.rejects(other, { type: 'upstream-failed' })
  const hits = await http.get('/rest/api/search', Next, { cql: 'type = page', limit: 5 })
  assert.match(hits._links.next, /^\/rest\/api\/search\?/)
  await assert.rejects(http.get('/rest/api/search', z.unknown(), { cql: 'typ ! page' }), { type: 'upstream-failed' })
  assert.ok(wiki.requests.every(({ status }) => status === 200 || status === 400))
})

test('Data Center signs its webhooks as the connector says', async (t) => {
  const { wiki } = await connect(t, { deployment: 'datacenter' })
  const received: { signature: string; body: string }[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    received.push({ signature: String(request.headers['x-hub-signature']), body: Buffer.concat(chunks).toString() })
    response.end()
  }).listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  wiki.webhookTo({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, secret: 's3cret' })

  wiki.edit(98_306)
  await until(() => wiki.deliveries.length > 0)

  const { header, scheme, prefix } = confluence.webhook?.signature ?? assert.fail()
  assert.deepEqual([header, scheme], ['x-hub-signature', 'hmac-sha256'])
  const [delivery] = received
  assert.equal(
    delivery?.signature,
    `${prefix}${createHmac('sha256', 's3cret')
      .update(delivery?.body ?? '')
      .digest('hex')}`,
  )
  assert.deepEqual(wiki.deliveries, [{ event: 'page_updated', status: 200 }])
})
