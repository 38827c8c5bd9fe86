import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Context, handlerOf } from '../../core/action.ts'
import type { SyncBatch } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { type Exchange, upstream } from '../../testing/upstream.ts'
import { explain } from './explain.ts'
import { confluence } from './index.ts'
import { hasHolders, pageUrl } from './page.ts'
import { nextPosition, position } from './search.ts'
import { tablePage } from './storage.ts'
import { sync } from './sync.ts'

const config = confluence.config.parse({
  url: 'https://example.atlassian.net/wiki',
  deployment: 'cloud',
  spaces: 'OPS, KB',
  excerpts: true,
})

async function call(t: TestContext, name: string, input: Record<string, unknown>, exchanges: readonly Exchange[]) {
  const action = confluence.actions.find((one) => one.name === name)
  assert.ok(action, name)
  const { http, signal } = upstream(t, import.meta.dirname, exchanges, { config })
  const context: Context = {
    principal: { id: 'usr_1', kind: 'user', name: 'Ana', bindings: [], version: '1' },
    door: 'http',
    requestId: 'req_1',
    signal,
    connection: { id: 'con_1', config, http },
  }
  return action.output.parse(await handlerOf(action).run(action.input.parse({ connection: 'wiki', ...input }), context))
}

const expand =
  'expand=content.space%2Ccontent.version%2Ccontent.history%2Ccontent.ancestors%2Ccontent.metadata.labels%2Ccontent.restrictions.read.restrictions.user%2Ccontent.restrictions.read.restrictions.group'
const restrictionOf = (id: string) =>
  `GET /rest/api/content/${id}/restriction/byOperation/read?expand=restrictions.user%2Crestrictions.group`
const searching = (cql: string) =>
  `GET /rest/api/search?${new URLSearchParams({ cql })}&limit=25&excerpt=indexed&${expand}`

test('Each action has its access and its route', () => {
  assert.deepEqual(
    confluence.actions.map(({ name, access, http }) => [name, access, http.method, http.path]),
    [
      ['confluence.pages.search', 'read', 'GET', '/connections/{connection}/confluence/pages'],
      ['confluence.page.get', 'read', 'GET', '/connections/{connection}/confluence/pages/{id}'],
      ['confluence.page.publish-table', 'write', 'POST', '/connections/{connection}/confluence/tables'],
      ['confluence.page.attach', 'write', 'POST', '/connections/{connection}/confluence/pages/{id}/attachments'],
    ],
  )
})

test('A search answers a page with its facts and where the next begins', async (t) => {
  const cql =
    'type = page and space in ("OPS","KB") and (text ~ "restore vm" or title ~ "restore vm") order by lastmodified desc'

  const found = await call(t, 'confluence.pages.search', { words: 'restore VM' }, [
    { request: searching(cql), reply: 'search-one.json' },
    { request: restrictionOf('98310'), reply: 'open.json' },
  ])

  assert.deepEqual(found, {
    items: [
      {
        id: '98432',
        title: 'Runbook: restore VM',
        space: 'OPS',
        version: 7,
        labels: ['runbook'],
        author: 'Ben Visser',
        editor: 'Ana Novak',
        createdAt: '2026-02-11T09:12:00.111Z',
        modifiedAt: '2026-11-19T14:03:22.004Z',
        excerpt: 'Steps to restore ams1-db0001',
        url: 'https://example.atlassian.net/wiki/spaces/OPS/pages/98432/Runbook+restore+VM',
      },
    ],
    next: '_f_MjU=_sa_x',
  })
})

test('A page below a restricted one, or below one that cannot be seen, is left out', async (t) => {
  const request = searching('type = page and space in ("OPS","KB") order by lastmodified desc')
  for (const reply of ['closed.json', new Problem('not-found'), new Problem('upstream-denied')]) {
    const found = await call(t, 'confluence.pages.search', {}, [
      { request, reply: 'search-one.json' },
      { request: restrictionOf('98310'), reply },
    ])
    assert.deepEqual((found as { items: unknown[] }).items, [])
  }
})

test('A page whose restrictions or ancestors are not told is asked about, or not taken', async (t) => {
  const request = searching('type = page and space in ("OPS","KB") order by lastmodified desc')
  const content = { id: '9', title: 'T', space: { key: 'OPS' }, version: { number: 1 }, ancestors: [] }
  for (const [reply, count] of [
    ['open.json', 1],
    ['closed.json', 0],
  ] as const) {
    const found = await call(t, 'confluence.pages.search', {}, [
      { request, reply: { results: [{ content }] } },
      { request: restrictionOf('9'), reply },
    ])
    assert.equal((found as { items: unknown[] }).items.length, count)
  }
  const { ancestors: _, ...orphan } = content
  await assert.rejects(
    call(t, 'confluence.pages.search', {}, [{ request, reply: { results: [{ content: orphan }] } }]),
    {
      type: 'upstream-invalid',
    },
  )
})

test('Only the position is taken of a next link, and one that leads nowhere new is refused', () => {
  assert.equal(nextPosition('https://elsewhere.example/rest?cursor=a%3D&start=25', undefined), 'a=')
  assert.equal(nextPosition('/rest/api/content?start=25', '0'), '25')
  assert.equal(nextPosition(undefined, 'a'), undefined)
  for (const link of ['/rest/api/search?cursor=a', '/rest/api/search?cql=x'])
    assert.throws(() => nextPosition(link, 'a'), { type: 'upstream-invalid' })
})

test('A cursor for Data Center is an offset', () => {
  assert.deepEqual(position('datacenter', '25'), { start: '25' })
  assert.throws(() => position('datacenter', 'mine'), { type: 'invalid-input' })
})

test('The page for a person stays below the address of the connection', () => {
  const url = 'https://wiki.example.net/'
  assert.equal(pageUrl(url, { id: '9', webui: '/x/9' }), 'https://wiki.example.net/x/9')
  for (const webui of [undefined, 'https://elsewhere.example', '.evil.example', '//a\r\nb', 'javascript:x'])
    assert.equal(pageUrl(url, { id: '9', webui }), 'https://wiki.example.net/pages/viewpage.action?pageId=9')
})

test('A page is restricted when a person or a group is named, or only counted', () => {
  const none = { results: [], size: 0 }
  const cases = [
    [none, none, false],
    [{ results: [{}], size: null }, none, true],
    [none, { results: [], size: 1 }, true],
    [none, { results: [{}], size: 0 }, true],
  ] as const
  for (const [user, group, expected] of cases) {
    const restrictions = {
      user: { ...user, results: [...user.results] },
      group: { ...group, results: [...group.results] },
    }
    assert.equal(hasHolders({ restrictions }), expected)
  }
})

test('A page of another space is not read any further', async (t) => {
  await assert.rejects(
    call(t, 'confluence.page.get', { id: '9' }, [
      { request: 'GET /api/v2/pages/9?body-format=storage&include-labels=true', reply: { ...v2Page, spaceId: '7' } },
      { request: 'GET /api/v2/spaces?keys=OPS%2CKB&limit=250', reply: { results: [{ id: '65537', key: 'OPS' }] } },
    ]),
    { type: 'not-found' },
  )
})

test('A page of another title is not taken for the one to replace', async (t) => {
  const table = { space: 'OPS', title: 'Backups', columns: ['a'], rows: [] }
  const body = { representation: 'storage', value: tablePage(['a'], []) }
  const made = { id: '10', version: { number: 1 }, _links: { webui: '/spaces/OPS/pages/10' } }

  const done = await call(t, 'confluence.page.publish-table', table, [
    { request: 'GET /api/v2/spaces?keys=OPS%2CKB&limit=250', reply: { results: [{ id: '65537', key: 'OPS' }] } },
    {
      request: 'GET /api/v2/pages?space-id=65537&title=Backups&status=current&body-format=storage&limit=25',
      reply: { results: [{ ...v2Page, title: 'Backups of 2025' }] },
    },
    {
      request: 'POST /api/v2/pages',
      body: { spaceId: '65537', status: 'current', title: 'Backups', body },
      reply: made,
    },
  ])

  assert.deepEqual(done, {
    id: '10',
    version: 1,
    isNew: true,
    url: 'https://example.atlassian.net/wiki/spaces/OPS/pages/10',
  })
})

test('A sync leaves out a page that moved to another space meanwhile, and an excerpt that was not asked for', async (t) => {
  const settings = { url: 'https://wiki.example.net', deployment: 'datacenter', spaces: 'OPS' }
  const cql = 'type = page and space in ("OPS") and id in (9,10)'
  const content = (id: string, key: string) => ({
    id,
    title: `Page ${id}`,
    space: { key },
    version: { number: 1 },
    ancestors: [],
    restrictions: { read: { restrictions: { user: { results: [] }, group: { results: [] } } } },
  })
  const context = upstream(
    t,
    import.meta.dirname,
    [
      { request: 'GET /rest/api/user/current?expand=operations', reply: { type: 'known' } },
      { request: 'GET /rest/api/space?spaceKey=OPS&limit=200', reply: { results: [{ id: 1, key: 'OPS' }] } },
      {
        request: 'GET /rest/api/content?type=page&spaceKey=OPS&status=current&expand=version&limit=100',
        reply: { results: [{ id: 9 }, { id: 10 }] },
      },
      {
        request: `GET /rest/api/search?${new URLSearchParams({ cql })}&limit=2&excerpt=none&${expand}`,
        reply: { results: [{ content: content('9', 'OPS'), excerpt: 'hunter2' }, { content: content('10', 'HR') }] },
      },
    ],
    { config: confluence.config.parse(settings) },
  )

  const batch = await sync(context).next()

  const { observations = [] } = batch.value as SyncBatch
  assert.deepEqual(
    observations.map(({ externalId, attributes }) => [externalId, attributes['excerpt']]),
    [['9', undefined]],
  )
})

const searches: readonly (readonly [string, Record<string, string>, string])[] = [
  ['operators and quotes', { words: 'a" OR space = "HR' }, '(text ~ "a or space hr" or title ~ "a or space hr")'],
  ['wildcards and a leading minus', { words: '-disk* ~full? (x)' }, '(text ~ "disk full x" or title ~ "disk full x")'],
  ['host names', { title: 'ams1-db0001.vm' }, 'title ~ "ams1-db0001.vm"'],
  ['a quote in a label', { label: 'x"or"y\\' }, 'label = "x\\"or\\"y\\\\"'],
  ['a day', { changedSince: '2026-11-20' }, 'lastmodified >= "2026-11-20"'],
]
for (const [what, input, clause] of searches) {
  test(`CQL is built from fields only: ${what} (claims: D16)`, async (t) => {
    const cql = `type = page and space in ("OPS","KB") and ${clause} order by lastmodified desc`
    const reply = { results: [], _links: {} }

    assert.deepEqual(await call(t, 'confluence.pages.search', input, [{ request: searching(cql), reply }]), {
      items: [],
      next: null,
    })
  })
}

test('A search without any word is invalid input, and a space outside the connection is not found', async (t) => {
  await assert.rejects(call(t, 'confluence.pages.search', { words: '"*"' }, []), { type: 'invalid-input' })
  await assert.rejects(call(t, 'confluence.pages.search', { space: 'HR' }, []), { type: 'not-found' })
})

test('Hits of other spaces are dropped, whatever query a cursor holds', async (t) => {
  const cql = 'type = page and space in ("KB") order by lastmodified desc'
  const found = await call(t, 'confluence.pages.search', { space: 'KB', cursor: 'mine' }, [
    { request: `${searching(cql)}&cursor=mine`, reply: 'search-one.json' },
  ])

  assert.deepEqual((found as { items: unknown[] }).items, [])
})

test('Input that could leave its place in a path, a header or a form is refused (claims: D16, D30)', () => {
  const file = { id: '1', content: 'x' }
  const table = { space: 'OPS', title: 'T', columns: ['a'], rows: [['1']] }
  const refused: readonly (readonly [string, Record<string, unknown>])[] = [
    ...['../1', '1/../2', '1?x', '1#x', '%2e%2e', '1\r\nx: y', '', '0', '٣'].map(
      (id) => ['confluence.page.get', { id }] as const,
    ),
    ...['a/b', '..', '.x', 'a"b', 'a\r\nb', 'a%0d', 'a\\b', ''].map(
      (fileName) => ['confluence.page.attach', { ...file, fileName }] as const,
    ),
    ['confluence.page.attach', { ...file, fileName: 'a', contentType: 'text/plain\r\nx: y' }],
    ['confluence.page.attach', { ...file, fileName: 'a', comment: 'a\r\n--b' }],
    ['confluence.page.publish-table', { ...table, title: 'a\nb' }],
    ['confluence.page.publish-table', { ...table, columns: [] }],
    ['confluence.page.publish-table', { ...table, rows: [[{}]] }],
    ['confluence.pages.search', { cql: 'type = page' }],
    ['confluence.pages.search', { label: 'a b' }],
    ['confluence.pages.search', { changedSince: 'yesterday' }],
    ['confluence.pages.search', { limit: 51 }],
  ]
  for (const [name, input] of refused) {
    const action = confluence.actions.find((one) => one.name === name)
    assert.equal(action?.input.safeParse({ connection: 'w', ...input }).success, false, JSON.stringify(input))
  }
})

test('Content that is not base64 or too large is refused before anything is sent', async (t) => {
  const open: Exchange[] = [
    { request: 'GET /api/v2/pages/9?body-format=storage&include-labels=true', reply: v2Page },
    { request: 'GET /api/v2/spaces?keys=OPS%2CKB&limit=250', reply: { results: [{ id: '65537', key: 'OPS' }] } },
    { request: 'GET /api/v2/pages/9/ancestors?limit=250', reply: { results: [] } },
    { request: restrictionOf('9'), reply: 'open.json' },
  ]
  const file = { id: '9', fileName: 'a.bin' }
  await assert.rejects(call(t, 'confluence.page.attach', { ...file, encoding: 'base64', content: 'YQ' }, open), {
    type: 'invalid-input',
  })
  await assert.rejects(call(t, 'confluence.page.attach', { ...file, content: 'é'.repeat(4_194_305) }, open), {
    type: 'too-large',
  })
})

const v2Page = { id: '9', title: 'T', spaceId: '65537', version: { number: 3 } }

test('Rows of another length than the columns are refused before anything is sent', async (t) => {
  const table = { space: 'OPS', title: 'T', columns: ['a', 'b'], rows: [['1', '2'], ['1']] }

  await assert.rejects(call(t, 'confluence.page.publish-table', table, []), {
    type: 'invalid-input',
    detail: 'Row 2 has 1 cells, but there are 2 columns',
  })
})

test('Settings and credentials are complete and of one kind', () => {
  const settings = { url: 'https://example.atlassian.net/wiki', deployment: 'cloud', spaces: 'OPS' }
  const configs: readonly (readonly [object, boolean])[] = [
    [settings, true],
    [{ ...settings, spaces: 'OPS,KB, ~712020' }, true],
    [{ ...settings, url: 'https://wiki.example.net', deployment: 'datacenter' }, true],
    [{ ...settings, url: 'https://example.atlassian.net' }, false],
    [{ ...settings, url: 'http://example.atlassian.net/wiki' }, false],
    [{ ...settings, url: 'https://u:p@example.atlassian.net/wiki' }, false],
    [{ ...settings, spaces: '' }, false],
    [{ ...settings, spaces: 'OPS"' }, false],
    [{ ...settings, spaces: 'OPS,' }, false],
    [{ ...settings, deployment: 'server' }, false],
  ]
  for (const [given, isGood] of configs)
    assert.equal(confluence.config.strict().safeParse(given).success, isGood, JSON.stringify(given))

  const email = 'atlas@example.net'
  const credentials: readonly (readonly [object, boolean])[] = [
    [{ email, apiToken: 'x' }, true],
    [{ personalAccessToken: 'x' }, true],
    [{}, false],
    [{ email }, false],
    [{ apiToken: 'x' }, false],
    [{ email, apiToken: 'x', personalAccessToken: 'x' }, false],
    [{ email: 'a:b@example.net', apiToken: 'x' }, false],
    [{ personalAccessToken: 'x\r\ny' }, false],
  ]
  for (const [given, isGood] of credentials)
    assert.equal(confluence.credential.strict().safeParse(given).success, isGood, JSON.stringify(given))
})

const title = 'A page with this title already exists'
const replies: readonly (readonly [number, unknown, unknown])[] = [
  [200, { message: 'It already exists' }, undefined],
  [400, { errors: [{ status: 400, title }] }, 'conflict'],
  [400, { statusCode: 400, message: 'Cannot add a new attachment with same file name as an existing one' }, 'conflict'],
  [400, { message: 'Could not parse cql : secret words' }, 'Confluence does not understand the request.'],
  [409, {}, 'conflict'],
  [413, '<html>', 'too-large'],
  [
    401,
    null,
    'Confluence does not know the credential: it is wrong, expired or revoked. Give the connection a new token.',
  ],
  [404, { errors: [null] }, 'Confluence has no such thing, or the account may not see it.'],
  [500, 'x', undefined],
]
for (const [status, body, expected] of replies) {
  test(`${status} ${JSON.stringify(body)} is explained without its own words`, () => {
    const said = explain(status, body)
    assert.equal(typeof said === 'object' ? said.type : said, expected)
  })
}
