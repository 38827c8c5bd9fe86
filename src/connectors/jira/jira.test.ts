import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Context, handlerOf } from '../../core/action.ts'
import { type Exchange, upstream } from '../../testing/upstream.ts'
import { explain } from './explain.ts'
import { jira } from './index.ts'
import { issueFields } from './schema.ts'
import { jqlTime } from './sync.ts'
import { plainText, toAdf, toWiki } from './text.ts'

const config = jira.config.parse({ url: 'https://example.atlassian.net', deployment: 'cloud', projects: 'OPS, NET' })

async function call(t: TestContext, name: string, input: Record<string, unknown>, exchanges: readonly Exchange[]) {
  const action = jira.actions.find((one) => one.name === name)
  assert.ok(action, name)
  const { http, signal } = upstream(t, import.meta.dirname, exchanges, { config })
  const context: Context = {
    principal: { id: 'usr_1', kind: 'user', name: 'Ana', bindings: [], version: '1' },
    door: 'http',
    requestId: 'req_1',
    signal,
    connection: { id: 'con_1', config, http },
  }
  return action.output.parse(await handlerOf(action).run(action.input.parse({ connection: 'jira', ...input }), context))
}

const request = 'POST /rest/api/3/search/jql'
const asked = (jql: string, more: object = {}) => ({ jql, maxResults: 25, fields: issueFields, ...more })

test('Each action has its access and its route', () => {
  assert.deepEqual(
    jira.actions.map(({ name, access, http }) => [name, access, http.method, http.path]),
    [
      ['jira.issues.search', 'read', 'GET', '/connections/{connection}/jira/issues'],
      ['jira.issue.get', 'read', 'GET', '/connections/{connection}/jira/issues/{key}'],
      ['jira.issue.comment', 'write', 'POST', '/connections/{connection}/jira/issues/{key}/comments'],
    ],
  )
})

test('A search answers issues without a security level, and where the next begins', async (t) => {
  const body = asked('project in ("OPS", "NET") and text ~ "disk full" order by updated desc')

  const found = await call(t, 'jira.issues.search', { words: 'Disk full' }, [
    { request, body, reply: 'search-one.json' },
  ])

  assert.deepEqual(found, {
    items: [
      {
        id: '10412',
        key: 'OPS-311',
        name: 'OPS-311 Disk full on ams1-app0001',
        status: 'in progress',
        attributes: {
          key: 'OPS-311',
          project: 'OPS',
          type: 'Task',
          priority: 'High',
          statusCategory: 'indeterminate',
          assignee: 'Ana Novak',
          labels: ['infra'],
          createdAt: '2026-11-18T07:01:12.331Z',
          updatedAt: '2026-11-20T07:14:01.004Z',
        },
        url: 'https://example.atlassian.net/browse/OPS-311',
      },
    ],
    next: 'CAEaAggD',
  })
})

const searches: readonly (readonly [string, Record<string, string>, string])[] = [
  ['operators and quotes', { words: 'a" OR project = "HRX' }, 'text ~ "a or project hrx"'],
  ['wildcards and a leading minus', { words: '-disk* ~full? (x)' }, 'text ~ "disk full x"'],
  ['a quote in a status', { status: 'In "Progress\\' }, 'status = "In \\"Progress\\\\"'],
  ['a quote in a type', { type: 'x" or "y' }, 'issuetype = "x\\" or \\"y"'],
  ['a label', { label: 'a"b' }, 'labels = "a\\"b"'],
  ['open issues', { open: 'yes' }, 'statusCategory != Done'],
  ['done issues', { open: 'no' }, 'statusCategory = Done'],
  [
    'days',
    { updatedSince: '2026-11-20', createdSince: '2026-11-01' },
    'updated >= "2026-11-20" and created >= "2026-11-01"',
  ],
]
for (const [what, input, clause] of searches) {
  test(`JQL is built from fields only: ${what} (claims: D16)`, async (t) => {
    const body = asked(`project in ("OPS", "NET") and ${clause} order by updated desc`)
    const reply = { issues: [], isLast: true, nextPageToken: 'ignored' }

    assert.deepEqual(await call(t, 'jira.issues.search', input, [{ request, body, reply }]), { items: [], next: null })
  })
}

test('The next page of a search is asked for with the token, and issues of other projects are dropped', async (t) => {
  const body = asked('project in ("NET") order by updated desc', { nextPageToken: 'CAEaAggD' })
  const other = { id: '1', key: 'HRX-1', fields: { project: { key: 'HRX' }, security: null } }
  const reply = { issues: [other], isLast: true }

  const found = await call(t, 'jira.issues.search', { project: 'NET', cursor: 'CAEaAggD' }, [{ request, body, reply }])

  assert.deepEqual(found, { items: [], next: null })
})

const products = [
  ['cloud', '/rest/api/3', 'Server', ['This is Jira Data Center: set the deployment to that.']],
  ['datacenter', '/rest/api/2', 'Cloud', ['This is Jira Cloud: set the deployment to that.']],
  ['datacenter', '/rest/api/2', 'Server', []],
] as const
for (const [deployment, api, deploymentType, warnings] of products) {
  test(`A ${deploymentType} that is connected as ${deployment} is warned of ${warnings.length} times`, async (t) => {
    const context = upstream(
      t,
      import.meta.dirname,
      [
        { request: `GET ${api}/myself`, reply: { name: 'atlas', displayName: 'Atlas' } },
        { request: `GET ${api}/serverInfo`, reply: { version: '9.12.2', deploymentType } },
        { request: `GET ${api}/mypermissions?permissions=ADMINISTER%2CSYSTEM_ADMIN`, reply: { permissions: {} } },
        { request: `GET ${api}/project/OPS`, reply: { key: 'OPS' } },
      ],
      { config: jira.config.parse({ url: 'https://jira.example.net', deployment, projects: 'OPS' }) },
    )

    assert.deepEqual(await jira.check(context), { version: '9.12.2', account: 'Atlas', warnings: [...warnings] })
  })
}

test('A list that does not go on is refused', async (t) => {
  const body = asked('project in ("NET") order by updated desc', { nextPageToken: 'same' })
  const reply = { issues: [], isLast: false, nextPageToken: 'same' }

  await assert.rejects(call(t, 'jira.issues.search', { project: 'NET', cursor: 'same' }, [{ request, body, reply }]), {
    type: 'upstream-invalid',
  })
})

test('A search without any word is invalid input, and a project outside the connection is not found', async (t) => {
  await assert.rejects(call(t, 'jira.issues.search', { words: '"*"' }, []), { type: 'invalid-input' })
  await assert.rejects(call(t, 'jira.issues.search', { project: 'HRX' }, []), { type: 'not-found' })
  await assert.rejects(call(t, 'jira.issue.get', { key: 'HRX-1' }, []), { type: 'not-found' })
  await assert.rejects(call(t, 'jira.issue.comment', { key: 'HRX-1', text: 'x' }, []), { type: 'not-found' })
})

const whole = `GET /rest/api/3/issue/OPS-311?fields=${[...issueFields, 'description', 'comment'].join('%2C')}`

test('An issue is read with its words, without the comments that only some people may see', async (t) => {
  const issue = await call(t, 'jira.issue.get', { key: 'OPS-311' }, [{ request: whole, reply: 'issue.json' }])

  const { description, comments } = issue as { description: string; comments: unknown }
  assert.equal(
    description,
    'What happened\nAsk @Ana Novak or see https://example.atlassian.net/wiki/x/1\nfirst.\ndf -h',
  )
  assert.deepEqual(comments, [
    { author: 'Ben Visser', createdAt: '2026-11-19T08:00:00.000Z', text: 'plain on Data Center' },
  ])
})

test('An issue with a security level, or one that was moved elsewhere, is not found and not commented on', async (t) => {
  const hidden = [
    { id: '1', key: 'OPS-311', fields: { project: { key: 'OPS' }, security: { id: '1' } } },
    { id: '1', key: 'HRX-9', fields: { project: { key: 'HRX' }, security: null } },
  ]
  for (const reply of hidden) {
    await assert.rejects(call(t, 'jira.issue.get', { key: 'OPS-311' }, [{ request: whole, reply }]), {
      type: 'not-found',
    })
    const asking = { request: 'GET /rest/api/3/issue/OPS-311?fields=project%2Csecurity', reply }
    await assert.rejects(call(t, 'jira.issue.comment', { key: 'OPS-311', text: 'x' }, [asking]), { type: 'not-found' })
  }
})

test('Input that could leave its place in a path or a query is refused (claims: D16, D30)', () => {
  const keys = [
    '../1',
    'OPS-1/../2',
    'OPS-1?x',
    'OPS-1#x',
    '%2e%2e',
    'OPS-1\r\nx: y',
    '',
    'OPS-0',
    'ops-1',
    '10412',
    'OPS-٣',
  ]
  const refused: readonly (readonly [string, Record<string, unknown>])[] = [
    ...keys.map((key) => ['jira.issue.get', { key }] as const),
    ...keys.map((key) => ['jira.issue.comment', { key, text: 'x' }] as const),
    ['jira.issue.comment', { key: 'OPS-1', text: '   ' }],
    ['jira.issue.comment', { key: 'OPS-1', text: 'x', visibility: 'all' }],
    ['jira.issues.search', { jql: 'project = HRX' }],
    ['jira.issues.search', { status: 'a\nb' }],
    ['jira.issues.search', { label: 'a b' }],
    ['jira.issues.search', { updatedSince: '-1d' }],
    ['jira.issues.search', { limit: 101 }],
  ]
  for (const [name, input] of refused) {
    const action = jira.actions.find((one) => one.name === name)
    assert.equal(action?.input.safeParse({ connection: 'j', ...input }).success, false, JSON.stringify(input))
  }
})

const times: readonly (readonly [string, string | null, string])[] = [
  ['2026-11-20T07:30:59Z', 'UTC', '2026-11-20 06:30'],
  ['2026-11-20T07:30:00Z', 'Europe/Ljubljana', '2026-11-20 07:30'],
  ['2026-11-20T07:30:00Z', 'America/Los_Angeles', '2026-11-19 22:30'],
  // 02:30 came twice that night; the first of the two is before both.
  ['2026-10-25T01:30:00Z', 'Europe/Ljubljana', '2026-10-25 02:30'],
  ['2026-11-20T07:30:00Z', null, '2026-11-19 18:30'],
  ['2026-11-20T07:30:00Z', 'Not/AZone', '2026-11-19 18:30'],
]
for (const [at, zone, expected] of times) {
  test(`${at} is asked for as ${expected} by an account in ${zone}`, () => {
    assert.equal(jqlTime(new Date(at), zone), expected)
  })
}

test('A comment is text in both formats, whatever it says', () => {
  assert.deepEqual(toAdf('[~admin]\r\n\n{html}'), {
    type: 'doc',
    version: 1,
    content: [
      { type: 'paragraph', content: [{ type: 'text', text: '[~admin]' }] },
      { type: 'paragraph', content: [] },
      { type: 'paragraph', content: [{ type: 'text', text: '{html}' }] },
    ],
  })
  assert.equal(toWiki('[~admin] !http://x/y.png! {html}'), '\\[~admin\\] \\!http://x/y.png\\! \\{html\\}')
})

test('Rich text from outside is read however odd it is', () => {
  const deep = (levels: number) => {
    let node: unknown = { type: 'text', text: 'deep' }
    for (let i = 0; i < levels; i++) node = { type: 'paragraph', content: [node] }
    return node
  }
  const cases: readonly (readonly [unknown, string])[] = [
    [null, ''],
    [7, ''],
    [{ type: 7, content: 'x' }, ''],
    [{ content: [{ text: 'a' }, null, { text: 'b' }] }, ''],
    [deep(20), 'deep'],
    [deep(5000), ''],
  ]
  for (const [value, expected] of cases) assert.equal(plainText(value), expected)
})

test('A delivery of a webhook is signed over its body', () => {
  assert.deepEqual(jira.webhook?.signature, { header: 'x-hub-signature', scheme: 'hmac-sha256', prefix: 'sha256=' })
})

test('Settings and credentials are complete and of one kind', () => {
  const settings = { url: 'https://example.atlassian.net', deployment: 'cloud', projects: 'OPS' }
  const configs: readonly (readonly [object, boolean])[] = [
    [settings, true],
    [{ ...settings, projects: 'OPS, NET' }, true],
    [{ ...settings, url: 'https://jira.example.net/jira', deployment: 'datacenter' }, true],
    [{ ...settings, url: 'http://example.atlassian.net' }, false],
    [{ ...settings, url: 'https://example.atlassian.net?x' }, false],
    [{ ...settings, projects: '' }, false],
    [{ ...settings, projects: 'OPS")' }, false],
    [{ ...settings, projects: 'ops' }, false],
  ]
  for (const [given, isGood] of configs)
    assert.equal(jira.config.strict().safeParse(given).success, isGood, JSON.stringify(given))

  const email = 'atlas@example.net'
  const credentials: readonly (readonly [object, boolean])[] = [
    [{ email, apiToken: 'x' }, true],
    [{ personalAccessToken: 'x' }, true],
    [{}, false],
    [{ email }, false],
    [{ apiToken: 'x' }, false],
    [{ email, apiToken: 'x', personalAccessToken: 'x' }, false],
    [{ email: 'a:b@example.net', apiToken: 'x' }, false],
  ]
  for (const [given, isGood] of credentials)
    assert.equal(jira.credential.strict().safeParse(given).success, isGood, JSON.stringify(given))
})

const replies: readonly (readonly [number, unknown, unknown])[] = [
  [400, { errorMessages: ['The provided next page token is invalid'], errors: {} }, 'invalid-input'],
  [
    400,
    { errorMessages: ["The value 'HRX' does not exist"] },
    'Jira does not understand the request, or the account may not use a field in it.',
  ],
  [
    403,
    { errorMessages: ['page token'] },
    'The Jira account lacks a permission for this, or must first pass a captcha in the browser.',
  ],
  [401, 'x', 'Jira does not know the credential: it is wrong, expired or revoked. Give the connection a new token.'],
  [404, null, 'Jira has no such thing, or the account may not see it.'],
  [500, {}, undefined],
  [200, { errorMessages: ['x'] }, undefined],
]
for (const [status, body, expected] of replies) {
  test(`${status} ${JSON.stringify(body)} is explained without its own words`, () => {
    const said = explain(status, body)
    assert.equal(typeof said === 'object' ? said.type : said, expected)
  })
}
