import assert from 'node:assert/strict'
import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { chmodSync, copyFileSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startAws } from '../../simulators/aws/start.ts'
import { startOpenBao } from '../../simulators/openbao/start.ts'
import { rootKeyFingerprint } from '../../src/lib/root-key.ts'
import { split } from '../../src/lib/shamir.ts'
import { freshPostgresUrl } from '../../src/testing/databases.ts'
import { adminToken, type Env, newFolder, runAtlas, startAtlas } from '../../src/testing/server.ts'
import { makeSoftHsm, noSoftHsm } from '../../src/testing/softhsm.ts'
import { events, eventually } from './steps.ts'

type Provider = {
  readonly env: Env
  /** Never to be seen in what Atlas says. */
  readonly secrets: readonly string[]
  readonly down: () => Promise<unknown> | unknown
  readonly up: () => Promise<unknown> | unknown
  /** What a server says while it is down, and the class of it. */
  readonly says: readonly [reason: string, words: RegExp]
}

async function transit(t: TestContext): Promise<Provider & { bao: Awaited<ReturnType<typeof startOpenBao>> }> {
  const bao = await startOpenBao()
  t.after(() => bao.stop())
  return {
    bao,
    env: {
      ATLAS_SEAL: 'transit',
      ATLAS_TRANSIT_URL: bao.url,
      ATLAS_TRANSIT_KEY: 'atlas',
      ATLAS_TRANSIT_TOKEN: bao.credential,
      ATLAS_TRANSIT_CA: bao.caPem,
    },
    secrets: [bao.credential],
    down: () => bao.seal(),
    up: () => bao.unseal(),
    says: ['sealed', /seal transit \(key transit\/atlas\) is sealed itself/],
  }
}

async function kms(t: TestContext): Promise<Provider> {
  const aws = await startAws()
  t.after(() => aws.stop())
  const { accessKeyId, secretAccessKey } = aws.credential
  return {
    env: {
      ATLAS_SEAL: 'aws-kms',
      ATLAS_KMS_KEY: 'alias/atlas',
      ATLAS_KMS_ENDPOINT: aws.url,
      ATLAS_KMS_CA: aws.caPem,
      AWS_REGION: aws.region,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    },
    secrets: [secretAccessKey],
    down: () => aws.kms.setState('alias/atlas', 'Disabled'),
    up: () => aws.kms.setState('alias/atlas', 'Enabled'),
    says: ['key-disabled', /seal aws-kms \(key alias\/atlas\) does not use this key now/],
  }
}

function token(t: TestContext): Provider {
  const hsm = makeSoftHsm(t)
  return {
    env: {
      ...hsm.env,
      ATLAS_SEAL: 'pkcs11',
      ATLAS_PKCS11_MODULE: hsm.module,
      ATLAS_PKCS11_TOKEN: 'atlas',
      ATLAS_PKCS11_KEY: 'root',
      ATLAS_PKCS11_PIN: hsm.pin,
    },
    secrets: [hsm.pin],
    down: () => hsm.remove(),
    up: () => hsm.putBack(),
    says: ['unreachable', /seal pkcs11 \(key atlas\/root\) does not answer/],
  }
}

const providers = [
  ['Transit', transit, false],
  ['AWS KMS', kms, false],
  ['a hardware token', token, noSoftHsm],
] as const

for (const [name, start, skip] of providers)
  test(`with ${name}, a first start draws and wraps a root key, a restart unwraps it, and while the provider is away only health and unsealing answer; back, it starts by itself (SEC-ENC-7, SEC-ENC-9, claims: A40 B9 B15)`, {
    skip,
  }, async (t) => {
    const provider = await start(t)
    const folder = newFolder(t)
    const sealedFile = join(folder, 'data', 'root.sealed')
    const first = await startAtlas(t, { folder, env: provider.env })
    const { id } = await first.api<{ id: string }>('POST', '/secrets', { name: 'token', value: 'kept value' })
    for (const secret of provider.secrets)
      await first.api('POST', '/secrets', { name: `what is ${secret}`, value: 'any value' })
    const { text } = await first.ask('GET', '/api/v1/secrets')
    assert.match(text, /what is \[secret\]/, 'an answer repeats a secret')
    await first.stop()
    assert.match(first.output.stdout, /MAKE A RECOVERY KIT NOW/)
    assert.equal(existsSync(join(folder, 'data', 'root.key')), false)
    assert.equal(statSync(sealedFile).mode & 0o777, 0o600)

    const second = await startAtlas(t, { folder, env: provider.env })
    assert.equal((await second.api<{ version: number }>('GET', `/secrets/${id}`)).version, 1)
    const starts = (await events(second)).filter(({ code }) => code === 'server.started')
    const kinds = await Promise.all(
      starts.map(async ({ index }) => {
        const { detail } = await second.api<{ detail: { unsealed?: string } }>('GET', `/audit/events/${index}`)
        return detail.unsealed
      }),
    )
    assert.deepEqual(kinds, [provider.env['ATLAS_SEAL'], provider.env['ATLAS_SEAL']])
    await second.stop()
    assert.doesNotMatch(second.output.stdout, /RECOVERY KIT|Warning/)

    await provider.down()
    const waiting = startSealed(t, { folder, env: provider.env })
    const url = await waiting.url('sealed')
    await eventually(async () => provider.says[1].test(waiting.output()) || undefined)
    assert.deepEqual(await statusesOf(url), {
      'GET /livez': 200,
      'GET /readyz': 503,
      'GET /health': 503,
      'GET /': 503,
      'GET /metrics': 503,
      'GET /api/v1/secrets': 503,
      'GET /api/v1/unseal': 503,
      'POST /api/v1/login': 503,
      'POST /mcp': 503,
      'GET /audit/checkpoint': 503,
      'GET /openapi.json': 503,
    })
    assert.deepEqual(await (await fetch(`${url}/readyz`)).json(), {
      ready: false,
      notReady: { vault: 'sealed', seal: provider.says[0] },
    })
    await provider.up()
    const ready = await waiting.url('ready')
    const answer = await fetch(`${ready}/api/v1/secrets/${id}`, { headers: { authorization: `Bearer ${adminToken}` } })
    assert.equal(answer.status, 200)
    const { code, stdout, stderr } = await waiting.stop()
    assert.equal(code, 0, stderr)
    for (const text of [stdout, stderr, first.output.stdout, readFileSync(sealedFile, 'utf8')])
      for (const secret of provider.secrets) assert.ok(!text.includes(secret), 'a secret was printed')
    const address = Object.values(provider.env).find((value) => value.startsWith('https://'))
    if (address !== undefined) assert.ok(!(stdout + stderr).includes(new URL(address).host), 'an address was printed')
  })

test('a root key in the clear moves into a seal and out again; the kit is of the same key, and opens the server while the provider is away', async (t) => {
  const { bao, env, ...provider } = await transit(t)
  const folder = newFolder(t)
  const inData = (name: string) => join(folder, 'data', name)
  const first = await startAtlas(t, { folder })
  const { id } = await first.api<{ id: string }>('POST', '/secrets', { name: 'token', value: 'kept value' })
  await first.stop()
  const plain = readFileSync(inData('root.key'), 'utf8').trim()
  const said: string[] = []
  const atlas = async (args: readonly string[], other: Env = {}) => {
    const all = { ATLAS_DATA_DIR: inData(''), ...env, ...other }
    const { code, stdout, stderr } = await runAtlas(args, { folder, env: all })
    said.push(stdout + stderr)
    return [code, stdout + stderr] as const
  }
  const holds = async (extra: Env) => {
    const server = await startAtlas(t, { folder, env: extra })
    assert.equal((await server.api<{ version: number }>('GET', `/secrets/${id}`)).version, 1)
    await server.stop()
    return server.output.stdout
  }

  assert.match((await atlas(['serve'], { ATLAS_PORT: '0' }))[1], /not wrapped yet. Run: atlas vault seal/)
  const [code, text] = await atlas(['vault', 'seal'])
  assert.deepEqual([code, /state +wrapped\n/.test(text), /recovery kit/.test(text)], [0, true, true])
  assert.match(await holds(env), /still holds the root key in the clear/)
  assert.match((await atlas(['serve'], { ATLAS_PORT: '0', ATLAS_SECRET_KEY: plain }))[1], /ATLAS_SECRET_KEY must not/)
  const another = randomBytes(32).toString('base64url')
  assert.match((await atlas(['vault', 'seal'], { ATLAS_SECRET_KEY: another }))[1], /Move away what is not in use/)
  rmSync(inData('root.key'))
  assert.doesNotMatch(await holds(env), /Warning/)

  // The provider's key is rotated, the root key is wrapped under its new version, and the old version goes.
  bao.transit.rotate('atlas')
  assert.match((await atlas(['vault', 'seal']))[1], /state +wrapped anew/)
  bao.transit.setMinDecryptionVersion('atlas', 2)
  await holds(env)

  assert.equal((await atlas(['vault', 'recovery-kit', 'kit', '--shares', '3', '--threshold', '2']))[0], 0)
  const share = (n: number) => join(folder, 'kit', `share-${n}.txt`)
  assert.match((await atlas(['vault', 'verify-recovery', share(1), share(3)]))[1], /verified +true/)
  await provider.down()
  assert.deepEqual((await atlas(['vault', 'seal']))[0], 1)
  const waiting = startSealed(t, { folder, env })
  const sealed = await waiting.url('sealed')
  for (const n of [1, 3]) {
    const { code } = await runAtlas(['vault', 'unseal', '--share-file', share(n)], {
      folder,
      env: { ATLAS_URL: sealed },
    })
    assert.equal(code, 0)
  }
  const ready = await waiting.url('ready')
  const answer = await fetch(`${ready}/api/v1/secrets/${id}`, { headers: { authorization: `Bearer ${adminToken}` } })
  assert.equal(answer.status, 200)
  said.push((await waiting.stop()).stdout)
  await provider.up()

  const back = join(folder, 'back.key')
  assert.equal((await atlas(['vault', 'unseal-to-file', back]))[0], 0)
  assert.deepEqual([readFileSync(back, 'utf8').trim(), statSync(back).mode & 0o777], [plain, 0o600])
  assert.match((await atlas(['vault', 'unseal-to-file', back]))[1], /exists already/)
  await holds({ ATLAS_SECRET_KEY_FILE: back })

  const bytes = Buffer.from(plain, 'base64url')
  said.push(readFileSync(inData('root.sealed'), 'utf8'))
  for (const secret of [
    bao.credential,
    ...(['base64', 'base64url', 'hex'] as const).map((form) => bytes.toString(form).replace(/=+$/, '')),
  ])
    assert.ok(!said.some((text) => text.includes(secret)), 'a secret was printed')
})

test('a wrapped root key that was edited, swapped or is of another key is refused in plain words', async (t) => {
  const { bao, env } = await transit(t)
  const folders = [newFolder(t), newFolder(t)] as const
  const fileOf = (folder: string) => join(folder, 'data', 'root.sealed')
  for (const folder of folders) await (await startAtlas(t, { folder, env })).stop()
  const [mine, others] = folders.map((folder) => readFileSync(fileOf(folder), 'utf8')) as [string, string]
  const edit = (change: object) => JSON.stringify({ ...JSON.parse(mine), ...change })
  const { wrapped, fingerprint } = JSON.parse(others) as { wrapped: string; fingerprint: string }
  const flipped = String(JSON.parse(mine).wrapped).replace(/.(?=.{8}$)/, (char) => (char === 'A' ? 'B' : 'A'))
  const rows: readonly [what: string, content: string | undefined, refusal: RegExp, env?: Env][] = [
    ['no file', undefined, /there is a database but no .*root\.sealed/],
    ['half a file', mine.slice(0, 80), /is damaged/],
    ['a file of another form', edit({ extra: 1 }), /is damaged/],
    ['another kind', edit({ kind: 'aws-kms' }), /wrapped by aws-kms .* and the settings name transit/],
    [
      'another key of the provider',
      mine,
      /wrapped by transit with the key transit\/atlas, and the settings name transit with transit\/other/,
      { ATLAS_TRANSIT_KEY: 'other', ATLAS_TRANSIT_TOKEN: bao.rootToken },
    ],
    [
      'another key of the provider, and the file says so too',
      edit({ key: 'transit/other' }),
      /does not open the wrapped root key/,
      { ATLAS_TRANSIT_KEY: 'other', ATLAS_TRANSIT_TOKEN: bao.rootToken },
    ],
    ['an edited ciphertext', edit({ wrapped: flipped }), /does not open the wrapped root key/],
    ['an edited fingerprint', edit({ fingerprint }), /does not open the wrapped root key/],
    ["another server's ciphertext", edit({ wrapped }), /does not open the wrapped root key/],
    ["another server's file", others, /unknown key: this data hangs on another root key/],
  ]
  for (const [what, content, refusal, other] of rows)
    await t.test(what, async (t) => {
      if (content === undefined) rmSync(fileOf(folders[0]))
      else writeFileSync(fileOf(folders[0]), content, { mode: 0o600 })
      const server = startSealed(t, { folder: folders[0], env: { ...env, ...other } })
      let isOver = false
      const over = server.ended.then((ended) => {
        isOver = true
        return ended
      })
      // It ends with the words, or waits sealed and says them; it is never ready.
      await eventually(async () => isOver || refusal.test(server.output()) || undefined)
      const { stdout, stderr } = isOver ? await over : await server.stop()
      assert.match(stdout + stderr, refusal)
      assert.doesNotMatch(stdout, / is ready at /)
    })
  writeFileSync(fileOf(folders[0]), mine, { mode: 0o622 })
  chmodSync(fileOf(folders[0]), 0o622)
  const open = await runAtlas(['serve'], {
    folder: folders[0],
    env: { ATLAS_DATA_DIR: join(folders[0], 'data'), ...env },
  })
  assert.deepEqual([open.code, /can be changed by others; run: chmod 600/.test(open.stderr)], [2, true])
  writeFileSync(fileOf(folders[0]), mine, { mode: 0o600 })
  chmodSync(fileOf(folders[0]), 0o600)
  await (await startAtlas(t, { folder: folders[0], env })).stop()
})

test('several servers on one PostgreSQL each have a copy of the wrapped key; one without draws none that stays', async (t) => {
  const { env: sealEnv } = await transit(t)
  const env = { ...sealEnv, ATLAS_DATABASE_URL: await freshPostgresUrl(t) }
  const first = await startAtlas(t, { env })
  const copy = join(newFolder(t), 'copy.sealed')
  copyFileSync(join(first.dataDir, 'root.sealed'), copy)
  const second = await startAtlas(t, { env: { ...env, ATLAS_SEAL_PATH: copy } })
  const { id } = await first.api<{ id: string }>('POST', '/secrets', { name: 'token', value: 'kept value' })
  assert.equal((await second.api<{ version: number }>('GET', `/secrets/${id}`)).version, 1)

  const folder = newFolder(t)
  const third = await runAtlas(['serve'], {
    folder,
    env: { ...env, ATLAS_DATA_DIR: join(folder, 'data'), ATLAS_PORT: '0' },
  })
  assert.deepEqual([third.code, /unknown key/.test(third.stderr)], [2, true])
  assert.equal(existsSync(join(folder, 'data', 'root.sealed')), false)
})

for (const where of ['SQLite', 'PostgreSQL'])
  test(`a provider that is away at the very first start holds it up, nothing is made before it is back, and shares that a stranger made up open nothing (${where})`, async (t) => {
    const { env: sealEnv, down, up } = await transit(t)
    const folder = newFolder(t)
    const remote: Env = where === 'SQLite' ? {} : { ATLAS_DATABASE_URL: await freshPostgresUrl(t) }
    const env = { ...sealEnv, ...remote }
    await down()
    const waiting = startSealed(t, { folder, env })
    const url = await waiting.url('sealed')
    const body = (line: string) => ({
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ share: line }),
    })
    const answers: number[] = []
    for (const line of sharesOf(createSecretKey(randomBytes(32))))
      answers.push((await fetch(`${url}/api/v1/unseal`, body(line))).status)
    assert.deepEqual(answers, [200, 409])
    assert.equal(existsSync(join(folder, 'data', 'atlas.db')), false)
    assert.equal((await runAtlas(['init'], { folder, env: { ATLAS_DATA_DIR: join(folder, 'data'), ...env } })).code, 1)
    await up()
    await waiting.url('ready')
    assert.match((await waiting.stop()).stdout, /MAKE A RECOVERY KIT NOW/)
  })

test('a token that refuses the PIN is not asked again, so that it is not locked', { skip: noSoftHsm }, async (t) => {
  const hsm = makeSoftHsm(t)
  const folder = newFolder(t)
  const env = { ...token(t).env, ...hsm.env }
  await (await startAtlas(t, { folder, env })).stop()

  const waiting = startSealed(t, { folder, env: { ...env, ATLAS_PKCS11_PIN: 'soon-the-right-pin' } })
  const url = await waiting.url('sealed')
  await eventually(async () => /does not take the PIN.*\. It is not asked again/.test(waiting.output()) || undefined)
  hsm.tool('--change-pin', '--new-pin', 'soon-the-right-pin')
  // Longer than the first wait of a provider that is asked again.
  await sleep(3_000)
  const { notReady } = (await (await fetch(`${url}/readyz`)).json()) as { notReady: unknown }
  assert.deepEqual(notReady, { vault: 'sealed', seal: 'wrong-pin' })
  await waiting.stop()
})

for (const where of ['SQLite', 'PostgreSQL'])
  test(`the root key changes under a seal while the server runs, and what a crash left of that is ended at the next start (${where}) (SEC-ENC-5, claims: A41)`, async (t) => {
    const { bao, env: sealEnv, secrets } = await transit(t)
    const folder = newFolder(t)
    const remote: Env = where === 'SQLite' ? {} : { ATLAS_DATABASE_URL: await freshPostgresUrl(t) }
    const env = { ...sealEnv, ...remote }
    const file = join(folder, 'data', 'root.sealed')
    const read = () => JSON.parse(readFileSync(file, 'utf8')) as { fingerprint: string }
    const server = await startAtlas(t, { folder, env })
    const { id } = await server.api<{ id: string }>('POST', '/secrets', { name: 'token', value: 'kept value' })
    const old = readFileSync(file, 'utf8')

    bao.seal()
    const refused = await server.cli(['vault', 'rekey'])
    assert.deepEqual(
      [refused.code, /seal transit \(key transit\/atlas\) is sealed itself/.test(refused.stderr)],
      [1, true],
    )
    assert.equal(readFileSync(file, 'utf8'), old)
    bao.unseal()
    const done = await server.cli(['vault', 'rekey', '--json'])
    assert.equal(done.code, 0, done.stderr)
    const { to } = JSON.parse(done.stdout) as { to: string }

    assert.deepEqual([read().fingerprint, existsSync(`${file}.next`)], [to, false])
    assert.equal((await server.api<{ version: number }>('GET', `/secrets/${id}`)).version, 1)
    const ended = await server.stop()
    const now = readFileSync(file, 'utf8')
    for (const secret of secrets) assert.ok(![ended.stdout, ended.stderr, now].some((text) => text.includes(secret)))
    const serve = () =>
      runAtlas(['serve'], { folder, env: { ATLAS_DATA_DIR: join(folder, 'data'), ATLAS_PORT: '0', ...env } })
    writeFileSync(file, old)
    assert.match((await serve()).stderr, /unknown key: this data hangs on another root key/)

    // Killed after the rows were changed, and before the file was.
    writeFileSync(`${file}.next`, now, { mode: 0o600 })
    const finished = await startAtlas(t, { folder, env })
    assert.match(finished.output.stdout, /The change of the root key is finished/)
    assert.deepEqual([read().fingerprint, existsSync(`${file}.next`)], [to, false])
    await finished.stop()
    // Killed before the rows were changed.
    writeFileSync(`${file}.next`, old, { mode: 0o600 })
    assert.match(
      (await runAtlas(['vault', 'seal'], { folder, env: { ATLAS_DATA_DIR: join(folder, 'data'), ...env } })).stderr,
      /is being changed/,
    )
    const undone = await startAtlas(t, { folder, env })
    assert.match(undone.output.stdout, /The change of the root key was undone/)
    assert.deepEqual([read().fingerprint, existsSync(`${file}.next`)], [to, false])
    assert.equal((await undone.api<{ version: number }>('GET', `/secrets/${id}`)).version, 1)
    await undone.stop()
    const offline = await runAtlas(['vault', 'rekey'], {
      folder,
      env: { ATLAS_DATA_DIR: join(folder, 'data'), ...env },
    })
    assert.deepEqual([offline.code, /wrapped by a seal, and no server answers/.test(offline.stderr)], [2, true])
  })

function sharesOf(key: KeyObject): string[] {
  return split(key.export(), { threshold: 2, count: 2 }).map(
    ({ x, y }) => `atlas-share-1 ${rootKeyFingerprint(key)} 2 ${x} ${y.toString('base64url')}`,
  )
}

/** A server that may not become ready at once. */
function startSealed(t: TestContext, { folder, env }: { folder: string; env: Env }) {
  let output = ''
  let stop = () => {}
  const ended = runAtlas(['serve'], {
    folder,
    env: {
      ATLAS_DATA_DIR: join(folder, 'data'),
      ATLAS_PORT: '0',
      ATLAS_API_TOKEN: adminToken,
      ATLAS_RATE_LIMIT_RPM: '1000000',
      ...env,
    },
    seen: (child) => {
      child.stdout?.on('data', (text) => {
        output += text
      })
      stop = () => child.kill('SIGTERM')
    },
  })
  t.after(() => stop())
  return {
    output: () => output,
    ended,
    url: (state: 'sealed' | 'ready') =>
      eventually(async () => new RegExp(`${state} at (http://[\\d.:]+\\d)`).exec(output)?.[1]),
    stop: () => {
      stop()
      return ended
    },
  }
}

async function statusesOf(url: string): Promise<Record<string, number>> {
  const paths = [
    '/livez',
    '/readyz',
    '/health',
    '/',
    '/metrics',
    '/api/v1/secrets',
    '/api/v1/unseal',
    'POST /api/v1/login',
    'POST /mcp',
    '/audit/checkpoint',
    '/openapi.json',
  ]
  const statuses: Record<string, number> = {}
  for (const one of paths) {
    const [method = '', path = ''] = one.includes(' ') ? one.split(' ') : ['GET', one]
    const init = {
      method,
      headers: { authorization: `Bearer ${adminToken}` },
      ...(method === 'POST' && { body: '{}' }),
    }
    statuses[`${method} ${path}`] = (await fetch(url + path, init)).status
  }
  return statuses
}
