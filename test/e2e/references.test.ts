import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { startAws } from '../../simulators/aws/start.ts'
import { startNetbox } from '../../simulators/netbox/start.ts'
import { startOpenBao } from '../../simulators/openbao/start.ts'
import { readKeyFile } from '../../src/lib/root-key.ts'
import { newFolder, startAtlas } from '../../src/testing/server.ts'
import { filesBelow, findCanaries } from './canaries.ts'
import { dumpSqlite } from './dump.ts'
import { type Connection, events, eventually, sync } from './steps.ts'

// Values that are kept elsewhere, through the whole program: https systems, the command line, REST, the log and the disk.

const reference = 'vault://secret/atlas/lab#token'

test('a connection whose token is kept in a vault syncs, also after the token was rotated there (claims: C33 A36 D25)', async (t) => {
  const [netbox, bao] = [await startNetbox({ seed: 5, devices: 12, vms: 0 }), await startOpenBao()]
  t.after(netbox.stop)
  t.after(bao.stop)
  const folder = newFolder(t)
  const kept = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o600 })
    return join(folder, name)
  }
  const token = bao.tokens.make({ rules: [{ path: 'secret/data/atlas/*', capabilities: ['read'] }], ttlMs: 3_600_000 })
  const env = {
    ATLAS_REFERENCE_VAULT_URL: bao.url,
    ATLAS_REFERENCE_VAULT_TOKEN_FILE: kept('vault-token', `${token}\n`),
    ATLAS_REFERENCE_VAULT_CA_FILE: kept('vault.pem', bao.caPem),
    ATLAS_REFERENCE_VAULT_KV: 'secret/atlas/',
  }
  const atlas = await startAtlas(t, { folder, env })
  const add = (given: string) =>
    atlas.cli([
      ...[
        'connections',
        'add',
        'netbox',
        '--name',
        'lab',
        '--url',
        netbox.url,
        '--ca-file',
        kept('netbox.pem', netbox.caPem),
      ],
      ...['--schedule', 'never', '--credential-reference', `token=${given}`],
    ])
  const first = netbox.tokens.v2

  const early = await add(reference)
  assert.deepEqual([early.code, early.stderr.includes(`${reference}: there is nothing at this path`)], [2, true])
  bao.kv.put('atlas/lab', { token: first })
  const added = await add(reference)
  assert.equal(added.code, 0, added.stderr)
  const done = await sync(atlas, 'lab')
  assert.deepEqual([done.state, done.problem], ['succeeded', null])
  assert.match((await atlas.cli(['secrets', 'list'])).stdout, /vault:\/\//)

  const second = netbox.rotateToken()
  bao.kv.put('atlas/lab', { token: second })
  // Read a moment ago, it is not read again at once.
  const next = await eventually(async () => {
    const run = await sync(atlas, 'lab', 'full')
    return run.state === 'succeeded' ? run : undefined
  })
  assert.equal(next.problem, null)

  // Refused with what it has, it asks the vault, which does not answer.
  bao.seal()
  netbox.rotateToken()
  const away = await eventually(async () => {
    const { body } = await atlas.ask<{ ok: boolean; problem?: { type: string; detail: string } }>(
      'POST',
      '/api/v1/connections/lab/check',
      { body: {} },
    )
    return body.problem?.type === 'upstream-denied' ? undefined : body
  })
  const says = { type: 'secret-unavailable', detail: `${reference}: the vault is sealed or under maintenance` }
  assert.deepEqual({ type: away.problem?.type, detail: away.problem?.detail }, says)
  const { state } = await atlas.api<Connection>('GET', '/connections/lab')
  assert.equal(state, 'failing')
  const failures = (await events(atlas)).filter(({ code }) => code === 'vault.reference-failed')
  assert.equal(failures.length, 1)

  const ended = await atlas.stop()
  const said = atlas.answers.map(({ request, text }) => ({ where: request, bytes: Buffer.from(text) }))
  const output = { where: 'output', bytes: Buffer.from(ended.stdout + ended.stderr) }
  const disk = filesBelow(atlas.dataDir)
  const key = readKeyFile(join(atlas.dataDir, 'root.key')).export()
  const tables = { where: 'tables', bytes: await dumpSqlite(join(atlas.dataDir, 'atlas.db'), key) }
  assert.deepEqual(findCanaries({ first, second, token }, [...said, output, ...disk, tables]), [])
})

test('the environment and the disk are read only where the operator allowed it, and values are redacted (claims: C33 C5 D5 D25)', async (t) => {
  const aws = await startAws()
  t.after(aws.stop)
  const folder = newFolder(t)
  const directory = join(folder, 'references')
  mkdirSync(directory, { mode: 0o700 })
  writeFileSync(join(directory, 'token'), 'planted-file-value-0123\n', { mode: 0o600 })
  writeFileSync(join(folder, 'aws.pem'), aws.caPem)
  aws.secrets.put('atlas/lab', { text: JSON.stringify({ token: 'planted-aws-value-0123' }) })
  const user = aws.makeUser('reader', ['secretsmanager:GetSecretValue'])
  const atlas = await startAtlas(t, {
    folder,
    env: {
      ATLAS_REFERENCE_ENV: 'PLANTED, UNSET',
      PLANTED: 'planted-env-value-0123',
      ATLAS_REFERENCE_DIR: directory,
      ATLAS_REFERENCE_AWS_REGION: aws.region,
      ATLAS_REFERENCE_AWS_ENDPOINT: aws.url,
      ATLAS_REFERENCE_AWS_CA_FILE: join(folder, 'aws.pem'),
      ATLAS_REFERENCE_AWS_ACCESS_KEY_ID: user.accessKeyId,
      ATLAS_REFERENCE_AWS_SECRET_ACCESS_KEY: user.secretAccessKey,
      ATLAS_REFERENCE_AWS_NAMES: 'atlas/',
    },
  })
  const values = {
    'env://PLANTED': 'planted-env-value-0123',
    [`file://${directory}/token`]: 'planted-file-value-0123',
    'awssm://atlas/lab#token': 'planted-aws-value-0123',
  }
  const ids: string[] = []
  for (const [text, value] of Object.entries(values)) {
    const put = await atlas.cli(['secrets', 'put', text, '--reference', text, '--json'])
    assert.equal(put.code, 0, put.stderr)
    const { id } = JSON.parse(put.stdout) as { id: string }
    ids.push(id)
    const { reference: shown, source } = await atlas.api<Record<string, unknown>>('GET', `/secrets/${id}`)
    assert.deepEqual([shown, source], [text, text.split(':')[0]])
    // Whatever repeats the value, such as a name that somebody gives, is redacted.
    const echo = await atlas.api<{ items: { name: string }[] }>('GET', `/secrets?name=${value}`)
    assert.deepEqual(echo.items, [])
    const named = await atlas.ask<{ id: string }>('POST', '/api/v1/secrets', {
      body: { name: `about ${value}`, value: 'x' },
    })
    assert.equal(named.status, 200, named.text)
    const { text: listed } = await atlas.ask('GET', `/api/v1/secrets/${named.body.id}`)
    assert.match(listed, /"name":"about \[secret\]"/)
  }

  const refused: Readonly<Record<string, RegExp>> = {
    'env://PATH': /the variable is not among those in ATLAS_REFERENCE_ENV/,
    'env://ATLAS_API_TOKEN': /the variable is not among those in ATLAS_REFERENCE_ENV/,
    'env://UNSET': /the variable was not set when Atlas was started/,
    'file:///etc/passwd': /the path is not below ATLAS_REFERENCE_DIR/,
    [`file://${atlas.dataDir}/root.key`]: /the path is not below ATLAS_REFERENCE_DIR/,
    [`file://${directory}/../data/root.key`]: /must look like file/,
    'vault://secret/a#b': /set ATLAS_REFERENCE_VAULT_URL/,
    'awssm://other': /the name is not among those in ATLAS_REFERENCE_AWS_NAMES/,
    'http://127.0.0.1/': /must begin with env/,
  }
  for (const [text, says] of Object.entries(refused)) {
    const { status, body } = await atlas.ask<{ type: string; errors: { field: string; rule: string }[] }>(
      'POST',
      '/api/v1/secrets',
      { body: { name: 'x', reference: text } },
    )
    assert.deepEqual([status, body.errors[0]?.field], [400, '/reference'], text)
    assert.match(body.errors[0]?.rule ?? '', says)
    // The same for a new version of what is stored.
    const version = await atlas.ask('POST', `/api/v1/secrets/${ids[0]}/versions`, { body: { reference: text } })
    assert.equal(version.status, 400)
  }
  for (const body of [{ name: 'x' }, { name: 'x', value: 'y', reference: 'env://PLANTED' }])
    assert.equal((await atlas.ask('POST', '/api/v1/secrets', { body })).status, 400)

  const ended = await atlas.stop()
  assert.deepEqual(findCanaries(values, [{ where: 'output', bytes: Buffer.from(ended.stdout + ended.stderr) }]), [])
})

test('who may connect systems but not store secrets cannot send what others keep to a host of their own (claims: C33)', async (t) => {
  const netbox = await startNetbox({ seed: 5, devices: 1, vms: 0 })
  t.after(netbox.stop)
  const atlas = await startAtlas(t, { env: { ATLAS_REFERENCE_ENV: 'LAB_TOKEN', LAB_TOKEN: netbox.tokens.v2 } })
  const signIn = async (username: string, role: string) => {
    const password = 'Zw4-marmot-Quince-71-lattice'
    await atlas.api('POST', '/users', { username, password, role })
    return (await atlas.api<{ token: string }>('POST', '/login', { username, password }, 'none')).token
  }
  const [operator, admin] = [await signIn('olga', 'operator'), await signIn('ada', 'admin')]
  const body = (name: string, credential: object) => ({
    ...{ connector: 'netbox', name, schedule: null, caCertificate: netbox.caPem },
    ...{ config: { url: netbox.url }, credential: { token: credential } },
  })
  const referred = { reference: 'env://LAB_TOKEN' }
  const add = async (token: string, given: object, name: string) =>
    (await atlas.ask('POST', '/api/v1/connections', { token, body: body(name, given) })).status

  assert.equal(await add(operator, referred, 'lab'), 403)
  assert.equal(await add(admin, referred, 'lab'), 200)
  const moved = { token: operator, body: { config: { url: 'https://127.0.0.1:9' }, credential: { token: referred } } }
  assert.equal((await atlas.ask('PATCH', '/api/v1/connections/lab', moved)).status, 403)
  const staged = { token: operator, body: { credential: { token: referred } } }
  assert.equal((await atlas.ask('POST', '/api/v1/connections/lab/credential', staged)).status, 403)
})
