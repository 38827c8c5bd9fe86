import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import { sql } from 'kysely'
import { json, startServer } from '../simulators/lib/server.ts'
import { migrations } from '../src/app.ts'
import type { Database } from '../src/lib/db/database.ts'
import { newId } from '../src/lib/ids.ts'
import { testOnEach } from '../src/testing/databases.ts'
import { unzip } from '../src/testing/workbook.ts'
import { findCanaries } from './e2e/canaries.ts'
import { isHeader, startInProcess, type World } from './in-process.ts'

// SEC-ENC-10. Known secrets are said to the whole program in every place and form that callers, connected systems and the
// database have; then everything that it says is searched. The forms are written here apart from the product's own list.

const canaries = {
  token: `nbt_${randomBytes(6).toString('hex')}.${randomBytes(20).toString('hex')}`,
  odd: `Ωq"u\\o/t+e=&<${randomBytes(9).toString('base64url')}>%é'`,
}

const base64At = (offset: number) => (value: string) =>
  Buffer.concat([Buffer.from('..'.slice(2 - offset)), Buffer.from(value), Buffer.from('.')]).toString('base64')
const forms: Readonly<Record<string, (value: string) => string>> = {
  plain: (value) => value,
  base64: base64At(0),
  'base64 one byte later': base64At(1),
  'base64 two bytes later': base64At(2),
  base64url: (value) => Buffer.from(value).toString('base64url'),
  hex: (value) => Buffer.from(value).toString('hex'),
  HEX: (value) => Buffer.from(value).toString('hex').toUpperCase(),
  'URL-encoded': encodeURIComponent,
  'URL-encoded in small letters': (value) => encodeURIComponent(value).replace(/%../g, (sign) => sign.toLowerCase()),
  'form field': (value) => new URLSearchParams({ a: value }).toString().slice(2),
  'JSON-escaped': (value) => JSON.stringify(value).slice(1, -1),
  'JSON in JSON': (value) => JSON.stringify(JSON.stringify(value)).slice(1, -1),
  HTML: (value) =>
    value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;'),
  'UTF-16': (value) => Buffer.from(value, 'utf16le').toString('utf8'),
  'UTF-16 in hexadecimal': (value) => Buffer.from(value, 'utf16le').toString('hex'),
  'UTF-16 in base64': (value) => Buffer.from(value, 'utf16le').toString('base64'),
}

/** In bodies, queries, paths and headers, at routes that take it and at routes that do not. */
async function sayByHttp({ ask }: World, text: string): Promise<void> {
  const inUrl = encodeURIComponent(text)
  const posts: [string, unknown][] = [
    ['/api/v1/secrets', { name: text, value: 'another value 1' }],
    ['/api/v1/secrets', { name: 'x', value: 'another value 2', [text]: 1 }],
    ['/api/v1/secrets', { name: 'x', value: 'another value 3', kind: text }],
    [
      '/api/v1/connections',
      { connector: text, name: text, config: { url: text, [text]: text }, credential: { [text]: text } },
    ],
    ['/api/v1/connections', { connector: 'netbox', name: text, config: { url: text }, credential: { token: text } }],
    ['/api/v1/users', { username: text, password: 'short', role: text }],
    ['/api/v1/tokens', { name: text, agent: text, role: text }],
    ['/api/v1/exports', { dataset: text, params: { [text]: text } }],
    [`/api/v1/approvals/${inUrl}/deny`, { reason: text }],
  ]
  for (const [url, body] of posts) await ask('POST', url, { body })
  for (const [url, body] of [
    ['/api/v1/login', { username: text, password: text }],
    ['/api/v1/login', { username: 'admin', [text]: text }],
    ['/api/v1/setup', { setupToken: text, username: text, password: text, [text]: text }],
    [`/hooks/${inUrl}`, { [text]: text }],
  ] as const)
    await ask('POST', url, { body, token: undefined })
  for (const url of [
    `/api/v1/assets?q=${inUrl}`,
    `/api/v1/assets?limit=${inUrl}`,
    `/api/v1/assets?${inUrl}=${inUrl}`,
    `/api/v1/assets/${inUrl}`,
    `/api/v1/connections/${inUrl}`,
    `/api/v1/audit/events?action=${inUrl}&cursor=${inUrl}`,
    `/api/v1/audit/events?resource=connection/${inUrl}`,
    `/api/v1/${inUrl}`,
    `/${inUrl}`,
    `/audit/tile/${inUrl}`,
  ])
    await ask('GET', url)
  await ask('PATCH', `/api/v1/connections/${inUrl}`, { body: { name: text } })
  if (!isHeader(text)) return
  for (const name of [
    'user-agent',
    'referer',
    'cookie',
    'origin',
    'atlas-approval',
    'x-request-id',
    'accept',
    'forwarded',
    'host',
  ])
    await ask('GET', '/api/v1/assets', { headers: { [name]: text } })
  await ask('GET', '/api/v1/assets', { headers: { authorization: `Bearer ${text}` } })
  await ask('GET', '/api/v1/assets', { headers: { authorization: `Basic ${text}` } })
}

/** As the name of a tool, its arguments, a resource and a method. */
async function sayByMcp({ mcp }: World, text: string): Promise<void> {
  await mcp('tools/call', { name: text, arguments: { [text]: text } })
  await mcp('tools/call', { name: 'inventory_search', arguments: { q: text } })
  await mcp('tools/call', { name: 'inventory_search', arguments: { limit: text, [text]: text } })
  await mcp('resources/read', { uri: `atlas://assets/${encodeURIComponent(text)}` })
  await mcp('resources/read', { uri: text })
  await mcp(text, {})
}

/** The database itself says the value in an error, as it does of a row that breaks a rule. */
async function breakTable({ dialect, db }: Database): Promise<() => Promise<unknown>> {
  if (dialect === 'sqlite') {
    await sql`create trigger shout before insert on secret begin select raise(abort, new.name); end`.execute(db)
    return () => sql`drop trigger shout`.execute(db)
  }
  await sql`create function shout() returns trigger language plpgsql as $$ begin
    raise exception 'bad row %', new.name using detail = new.name, hint = new.name, errcode = 'P0001'; end $$`.execute(
    db,
  )
  await sql`create trigger shout before insert on secret for each row execute function shout()`.execute(db)
  return () => sql`drop trigger shout on secret`.execute(db)
}

/** A connected system that says the value in answers of every kind; and one whose estate is full of it. */
async function hostile(t: TestContext, { api, ask, app }: World) {
  let text = ''
  const replies = () => [
    json(400, { detail: text, [text]: [text] }),
    json(401, { detail: `Invalid token ${text}` }),
    json(403, { detail: text }),
    json(404, { detail: text }),
    json(500, { error: text, exception: text }),
    { status: 422, headers: { 'content-type': 'text/html' }, body: `<p>${text}</p>` },
    { status: 200, body: `{"netbox-version":"${text}` },
    json(200, { 'netbox-version': text }),
    json(302, {}, { location: `https://elsewhere.example/?t=${encodeURIComponent(text)}` }),
  ]
  let reply = replies()[0]
  const system = await startServer({ handle: () => reply ?? json(500, {}) })
  t.after(system.stop)
  const { id } = await api<{ id: string }>('POST', '/connections', {
    connector: 'netbox',
    name: 'hostile',
    config: { url: system.origin },
    credential: { token: canaries.token },
    caCertificate: system.caPem,
    schedule: null,
  })
  const never = new AbortController().signal
  return {
    id,
    async say(value: string): Promise<void> {
      text = value
      for (reply of replies()) {
        await ask('POST', `/api/v1/connections/${id}/check`, { body: {} })
      }
      await ask('GET', `/api/v1/connections/${id}`)
      reply = replies()[0]
      const { id: run } = await api<{ id: string }>('POST', `/connections/${id}/syncs`, { mode: 'full' })
      await app.connections.syncs.run(run, never).catch(() => {})
      await ask('GET', `/api/v1/syncs/${run}`)
    },
  }
}

/** Files of an estate whose names, addresses and attributes are all known secrets. */
async function exported(
  { api, ask, app, places }: World,
  connectionId: string,
  texts: readonly string[],
): Promise<void> {
  const observations = texts.map((text, i) => ({
    kind: 'device',
    externalId: String(i),
    name: text.slice(0, 200),
    serial: text.slice(0, 100),
    site: text.slice(0, 100),
    attributes: { note: text, list: [text] },
  }))
  await app.inventory.applyBatch({ connectionId, connector: 'netbox', runId: newId('syn'), observations, gone: [] })
  for (const [dataset, format] of [
    ['assets', 'csv'],
    ['assets', 'xlsx'],
    ['cmdb', 'xlsx'],
    ['cmdb', 'jsonl'],
  ]) {
    const { id } = await api<{ id: string }>('POST', '/exports', { dataset, format })
    for (let state = 'running'; state === 'running'; )
      ({ state } = await api<{ state: string }>('GET', `/exports/${id}`))
    const { status, payload } = await ask('GET', `/api/v1/exports/${id}/content`)
    assert.equal(status, 200, `${dataset} as ${format}`)
    if (format === 'xlsx')
      for (const [part, bytes] of unzip(payload)) places.push({ where: `${part} of the ${dataset} workbook`, bytes })
  }
  for (const path of ['/assets?limit=200', '/machines?limit=200']) await ask('GET', `/api/v1${path}`)
}

testOnEach(
  'a known secret said by a caller, a connected system or the database is in no answer, log line, audit record or export, in no form (SEC-ENC-10, claims: D21 D22)',
  migrations,
  async (database, t) => {
    const world = await startInProcess(database)
    t.diagnostic(await sayEverywhere(t, world, database).finally(world.stop))
  },
)

async function sayEverywhere(t: TestContext, world: World, database: Database): Promise<string> {
  const { app, clock, lines, places, api, ask } = world
  await api('POST', '/secrets', { name: 'odd', value: canaries.odd })
  const system = await hostile(t, world)
  const texts = Object.values(canaries).flatMap((value) => Object.values(forms).map((form) => form(value)))
  const mend = await breakTable(database)
  for (const text of texts) {
    await sayByHttp(world, text)
    await sayByMcp(world, text)
    await system.say(text)
    // So many refused calls are only counted; each minute some are written again.
    clock.forward(61_000)
  }
  await mend()
  await exported(world, system.id, texts)
  for (const path of [
    '/api/v1/openapi.json',
    '/docs/problems',
    '/setup',
    '/readyz',
    '/metrics',
    '/api/v1/approvals',
    '/api/v1/exports',
  ])
    await ask('GET', path)
  let events = 0
  // Past the gate, which redacts what it answers: as an auditor with the root key reads the stored entries.
  for (let cursor: number | undefined; cursor !== 0; ) {
    const { items } = await app.audit.search({ limit: 200, ...(cursor !== undefined && { cursor: String(cursor) }) })
    for (const item of items)
      places.push({
        where: `audit record ${item.code} ${item.action ?? ''}`,
        bytes: Buffer.from(JSON.stringify(item)),
      })
    events += items.length
    cursor = items.at(-1)?.index ?? 0
  }
  for (const line of lines) places.push({ where: 'the log', bytes: Buffer.from(line) })

  const hits = findCanaries(canaries, places)

  assert.deepEqual(hits, [])
  const said = (words: string) => places.filter(({ bytes }) => bytes.includes(words)).length
  assert.ok(lines.length > 20 && events > 500 && said('[secret]') > 500, 'what was said came to the places searched')
  return `${places.length} places, ${events} events, ${lines.length} log lines, ${said('[secret]')} with [secret]`
}
