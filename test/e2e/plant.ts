import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { json, startServer } from '../../simulators/lib/server.ts'
import { startNetbox } from '../../simulators/netbox/start.ts'
import { type Atlas, newFolder, runAtlas } from '../../src/testing/server.ts'
import { connect, events, mcpClient, sync } from './steps.ts'

const odd = () => `Ωq"u\\o/t+e=&<${randomBytes(9).toString('base64url')}>%é`
export const rootKey = randomBytes(32)
/** The secrets that are planted. Those with odd signs look different in each form. */
export const planted = {
  connectionToken: `nbt_${randomBytes(6).toString('hex')}.${randomBytes(20).toString('hex')}`,
  vaultSecret: odd(),
  vaultSecretTwo: odd(),
  bootstrapToken: `boot-${randomBytes(24).toString('base64url')}`,
  adminPassword: odd(),
  userPassword: odd(),
  newPassword: odd(),
  mistypedPassword: odd(),
  rootKey,
  rootKeyText: rootKey.toString('base64'),
}

/** Two hundred secrets that begin alike, so that one search finds any of them in any encoding. */
export const family = odd()
const members = Array.from({ length: 200 }, () => family + randomBytes(12).toString('base64url'))

/** What Atlas itself holds and can therefore take out of anything; of the other passwords it has only hashes. */
const held = [
  'connectionToken',
  'vaultSecret',
  'vaultSecretTwo',
  'bootstrapToken',
  'adminPassword',
  'rootKeyText',
] as const

/** Gives every secret wherever it can be given. Answers the tokens that Atlas issued meanwhile. */
export async function plantEverywhere(t: TestContext, atlas: Atlas) {
  const netbox = await startNetbox({ seed: 9, devices: 24, vms: 0, token: planted.connectionToken })
  t.after(netbox.stop)
  const connection = await connect(atlas, netbox, 'lab')
  assert.equal((await sync(atlas, connection)).state, 'succeeded')
  const { id: secret } = await atlas.api<{ id: string }>('POST', '/secrets', { name: 's', value: planted.vaultSecret })
  await atlas.api('POST', `/secrets/${secret}/versions`, { value: planted.vaultSecretTwo })
  for (const [i, value] of members.entries()) {
    const { id } = await atlas.api<{ id: string }>('POST', '/secrets', { name: `member ${i}`, value })
    if (i % 10 === 0) await atlas.api('POST', `/secrets/${id}/versions`, { value: `${value}, newer` })
  }
  await atlas.api('POST', '/vault/keys', {})
  await atlas.api('POST', '/vault/keys/rewrap', { limit: 500 })
  const { token: issuedToken } = await atlas.api<{ token: string }>('POST', '/tokens', {
    name: 'a',
    agent: 'a',
    role: 'operator',
  })
  const user = await atlas.api<{ id: string }>('POST', '/users', {
    username: 'ada',
    password: planted.userPassword,
    role: 'viewer',
  })
  await atlas.api('PATCH', `/users/${user.id}`, { password: planted.newPassword })
  const login = { username: 'ada', password: planted.newPassword }
  const { token: sessionToken } = await atlas.api<{ token: string }>('POST', '/login', login, 'none')

  await giveWrongly(atlas, connection, secret)
  await hostileSystem(t, atlas)
  await asAgent(t, atlas, issuedToken)
  await Promise.all((await events(atlas)).map(({ index }) => atlas.ask('GET', `/api/v1/audit/events/${index}`)))
  for (const path of [
    '/connections',
    '/secrets',
    '/users',
    '/tokens',
    '/approvals',
    '/openapi.json',
    `/secrets/${secret}`,
  ])
    await atlas.ask('GET', `/api/v1${path}`)
  assert.equal((await atlas.ask('POST', `/api/v1/secrets/${secret}/reveal`, { body: {} })).status, 403)
  const exported = await atlas.cli(['audit', 'export', join(atlas.folder, 'export')])
  assert.equal(exported.code, 0, exported.stderr)
  return { issuedToken, sessionToken }
}

/** In wrong fields, wrong types, broken JSON, query strings, paths and headers; none of these may be answered with success. */
async function giveWrongly(atlas: Atlas, connection: string, secret: string): Promise<void> {
  const wrongly = async (value: string, method: string, path: string, body?: unknown) => {
    const { status } = await atlas.ask(method, `/api/v1${path}`, { ...(body !== undefined && { body }) })
    assert.ok(status >= 400 && status < 500, `${method} ${path.replace(value, '')} answered ${status}`)
  }
  const config = { url: 'https://a.example' }
  const netbox = { connector: 'netbox', name: 'y' }
  for (const value of Object.values(planted).filter((one) => typeof one === 'string')) {
    const inUrl = encodeURIComponent(value)
    await Promise.all([
      wrongly(value, 'POST', '/secrets', { name: 'x', vaule: value }),
      wrongly(value, 'POST', '/secrets', { name: 'x', value: { value } }),
      wrongly(value, 'POST', '/secrets', { name: value.repeat(40), value }),
      wrongly(value, 'POST', '/secrets', `{"name":"x","value":${JSON.stringify(value)}`),
      wrongly(value, 'POST', '/secrets', `{"name":"x","value":"${value}`),
      wrongly(value, 'POST', '/secrets', JSON.stringify(value)),
      wrongly(value, 'POST', `/secrets/${secret}/versions`, { value: [value] }),
      wrongly(value, 'POST', '/connections', { ...netbox, config, credential: { tokn: value } }),
      wrongly(value, 'POST', '/connections', { ...netbox, config, credential: value }),
      wrongly(value, 'PATCH', `/connections/${connection}`, { credential: { token: `${value}!` } }),
      wrongly(value, 'POST', '/users', { username: 'bob', password: value.slice(0, 14), role: value }),
      wrongly(value, 'POST', '/login', { username: 'ada', pasword: value }),
      wrongly(value, 'POST', '/setup', { setupToken: value, username: 'eve', password: value }),
      wrongly(value, 'GET', `/assets?limit=${inUrl}`),
      wrongly(value, 'GET', `/assets?access_token=${inUrl}`),
      wrongly(value, 'GET', `/assets?password=${inUrl}`),
      wrongly(value, 'GET', `/${inUrl}`),
    ])
    const header = Buffer.from(value).toString('latin1')
    const headers = { authorization: `Basic ${header}`, cookie: header, 'x-api-key': header }
    await atlas.ask('GET', '/api/v1/me', { token: undefined, headers })
    await atlas.ask('GET', '/api/v1/me', { token: Buffer.from(value).toString('base64') })
  }
  await wrongly('', 'POST', '/login', { username: 'ada', password: planted.mistypedPassword })
  await wrongly('', 'POST', '/login', { username: planted.mistypedPassword, password: planted.mistypedPassword })
  // Free text is recorded, for the auditor to see. What Atlas holds is taken out of it.
  for (const value of held.map((name) => planted[name])) {
    await wrongly(value, 'POST', '/connections', { ...netbox, config: { url: value }, credential: { token: value } })
    await wrongly(value, 'POST', '/connections', { connector: value, name: 'y', config, credential: { token: value } })
    await wrongly(value, 'PATCH', `/connections/${connection}`, { caCertificate: value })
    await wrongly(value, 'GET', `/assets/${encodeURIComponent(value)}`)
    await atlas.ask('GET', `/api/v1/assets?q=${encodeURIComponent(value)}`)
  }
}

/** A system that says the token back in every way that it can find. */
async function hostileSystem(t: TestContext, atlas: Atlas): Promise<void> {
  const token = planted.connectionToken
  const encoded = Buffer.from(token).toString('base64')
  const html = `<html><body>${token}</body></html>`
  const replies = [
    json(401, { detail: `Invalid token: ${token}` }),
    json(403, { detail: token }),
    json(400, { token: [token], [token]: [token] }),
    json(400, { detail: `You sent ${encoded} and ${encodeURIComponent(`Bearer ${token}`)}` }),
    json(500, { error: token, exception: token, netbox_version: token }),
    { status: 502, headers: { 'content-type': 'text/html' }, body: html },
    { status: 200, headers: { 'content-type': 'text/html' }, body: html },
    { status: 200, body: `{"netbox-version":"${token}` },
    json(200, { 'netbox-version': { [token]: token } }),
    json(200, {
      'netbox-version': token,
      username: token,
      id: 1,
      is_superuser: false,
      results: [],
      next: null,
      count: 0,
    }),
    json(200, {
      'netbox-version': encoded,
      username: encoded,
      id: 1,
      is_superuser: false,
      results: [],
      next: null,
      count: 0,
    }),
    json(302, {}, { location: `https://elsewhere.example/?token=${token}` }),
    json(429, { detail: token }, { 'retry-after': token }),
  ]
  let reply = replies[0]
  const system = await startServer({ handle: () => reply ?? json(500, {}) })
  t.after(system.stop)
  const { id } = await atlas.api<{ id: string }>('POST', '/connections', {
    connector: 'netbox',
    name: 'hostile',
    config: { url: system.origin },
    credential: { token },
    caCertificate: system.caPem,
    schedule: null,
  })
  for (reply of replies) {
    await atlas.ask('POST', `/api/v1/connections/${id}/check`, { body: {} })
    await atlas.ask('GET', `/api/v1/connections/${id}`)
  }
  for (const one of [0, 3, 8]) {
    reply = replies[one]
    await sync(atlas, id, 'full')
    await atlas.ask('GET', `/api/v1/connections/${id}/syncs`)
  }
}

/** What an agent could be made to say: secrets in tool names, arguments, and a call that waits for a person. */
async function asAgent(t: TestContext, atlas: Atlas, token: string): Promise<void> {
  const client = await mcpClient(t, atlas, { token })
  const heard = (name: string, text: string) => atlas.answers.push({ request: `MCP ${name}`, status: 200, text })
  for (const value of [planted.connectionToken, planted.vaultSecret, planted.bootstrapToken]) {
    const call = (name: string, input: Record<string, unknown>) =>
      client.callTool({ name, arguments: input }).then(
        (result) => heard(name, JSON.stringify(result)),
        (error: Error) => heard(name, error.message),
      )
    await call('inventory.assets.search', { q: value })
    await call('inventory.assets.search', { limit: value })
    await call('inventory.assets.get', { asset: value.slice(0, 60) })
    await call('netbox.journal.add', { connection: 'lab', kind: 'device', id: '1', comment: `The token is ${value}` })
    await call('netbox.journal.add', { connection: 'lab', kind: value, id: value, comment: value })
  }
}

/** Through the CLI, from standard input and files; meanwhile the argument lists of all processes are read. */
export async function byCommandLine(
  t: TestContext,
  atlas: Atlas,
  say: (where: string, text: string) => void,
): Promise<void> {
  const given = newFolder(t)
  const file = (name: string, value: string) => {
    writeFileSync(join(given, name), value, { mode: 0o600 })
    return join(given, name)
  }
  const token = file('token', planted.connectionToken)
  const lines: [string[], string?][] = [
    [
      [
        'connections',
        'add',
        'netbox',
        '--name',
        'cli',
        '--url',
        'https://netbox.example.org',
        '--credential-file',
        `token=${token}`,
      ],
    ],
    [['connections', 'edit', 'cli', '--rotate'], planted.connectionToken],
    [['secrets', 'put', 'cli'], planted.vaultSecret],
    [['secrets', 'put', 'cli', '--from-file', '-'], planted.vaultSecretTwo],
    [['login', '-u', 'admin', '--password-file', file('password', planted.adminPassword)]],
    [['login', '-u', 'admin'], planted.mistypedPassword],
    [['users', 'add', 'carl'], planted.userPassword],
  ]
  for (const [args, input = ''] of lines) {
    const env = { ATLAS_URL: atlas.url, ATLAS_TOKEN: planted.bootstrapToken, HOME: given }
    const { stdout, stderr } = await runAtlas(args, {
      folder: atlas.folder,
      env,
      input,
      seen: () => say('an argument list', argumentLists()),
    })
    say(`atlas ${args.slice(0, 2).join(' ')}`, stdout + stderr)
  }
}

function argumentLists(): string {
  if (!existsSync('/proc/self/cmdline')) return ''
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      } catch {
        return '' // It ended meanwhile.
      }
    })
    .join('\n')
}
