import assert from 'node:assert/strict'
import { hash, randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { get } from 'node:https'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeCa } from '../../simulators/lib/ca.ts'
import { startNetbox } from '../../simulators/netbox/start.ts'
import { adminToken, type Env, newFolder, runAtlas, startAtlas } from '../../src/testing/server.ts'
import { connect, events, eventually, type Sync } from './steps.ts'

// How a start goes, how it is refused, and how it ends.

const rootKey = () => randomBytes(32).toString('base64')

/** `atlas serve` that must not come up. */
async function refused(folder: string, env: Env) {
  const base = { ATLAS_PORT: '0', ATLAS_DATA_DIR: join(folder, 'data') }
  const { code, stdout, stderr } = await runAtlas(['serve'], { folder, env: { ...base, ...env } })
  assert.doesNotMatch(stdout, /ready at/)
  assert.doesNotMatch(stderr, /^\s+at /m, 'no stack')
  return { code, stderr }
}

type Refusal = { readonly env: Env; readonly prepare?: (folder: string) => void; readonly says: RegExp }

const refusals: Readonly<Record<string, Refusal>> = {
  'an unknown ATLAS_ name': {
    env: { ATLAS_PROT: '1' },
    says: /ATLAS_PROT is not a setting; did you mean ATLAS_PORT\?/,
  },
  'plain http on every address': { env: { ATLAS_HOST: '0.0.0.0' }, says: /plain http is refused/ },
  'a root key that is not random': { env: { ATLAS_SECRET_KEY: 'a'.repeat(64) }, says: /Root key: .*not random/ },
  'a root key of the wrong length': { env: { ATLAS_SECRET_KEY: 'c2hvcnQ=' }, says: /Root key: .*not 32 bytes/ },
  'a weak password for the first admin': {
    env: { ATLAS_DEFAULT_ADMIN_PASSWORD: 'administrator-2026' },
    says: /password.*too easy to guess/i,
  },
  'a short password for the first admin': { env: { ATLAS_DEFAULT_ADMIN_PASSWORD: 'Kx8#qv' }, says: /at least 15/ },
  'a weak bootstrap token': {
    env: { ATLAS_API_TOKEN: 'secret-token-secret-token' },
    says: /ATLAS_API_TOKEN .*too weak/,
  },
  'switched-off certificate checks': {
    env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' },
    says: /NODE_TLS_REJECT_UNAUTHORIZED/,
  },
  'a .env that others can read': {
    env: {},
    prepare: (folder) => writeFileSync(join(folder, '.env'), 'ATLAS_LOG_LEVEL=warn\n', { mode: 0o644 }),
    says: /\.env can be read by others.*chmod 600/,
  },
  'a data directory that others can enter': {
    env: {},
    prepare: (folder) => {
      mkdirSync(join(folder, 'data'))
      chmodSync(join(folder, 'data'), 0o755)
    },
    says: /data directory can be entered by others.*chmod 700/,
  },
  'a key file that others can read': {
    env: {},
    prepare: (folder) => {
      mkdirSync(join(folder, 'data'), { mode: 0o700 })
      writeFileSync(join(folder, 'data/root.key'), rootKey())
      chmodSync(join(folder, 'data/root.key'), 0o640)
    },
    says: /root\.key is open to others.*chmod 600/,
  },
  'a certificate without its key': { env: { ATLAS_SSL_CERTFILE: 'x' }, says: /belong together/ },
  'a certificate that is none': {
    env: { ATLAS_SSL_CERTFILE: 'tls.crt', ATLAS_SSL_KEYFILE: 'tls.key' },
    prepare: (folder) => {
      writeTls(folder, 0o600)
      writeFileSync(join(folder, 'tls.crt'), 'not PEM')
    },
    says: /are not a certificate and its private key/,
  },
  'a data directory that is a file': {
    env: {},
    prepare: (folder) => writeFileSync(join(folder, 'data'), ''),
    says: /data directory .* cannot be made \(EEXIST\)/,
  },
  'a private key that others can read': {
    env: { ATLAS_SSL_CERTFILE: 'tls.crt', ATLAS_SSL_KEYFILE: 'tls.key' },
    prepare: (folder) => writeTls(folder, 0o644),
    says: /private key can be read by others/,
  },
}

for (const [what, { env, prepare, says }] of Object.entries(refusals))
  test(`${what} ends the start with 2 and says what to do`, async (t) => {
    const folder = newFolder(t)
    prepare?.(folder)

    const { code, stderr } = await refused(folder, env)

    assert.equal(code, 2)
    assert.match(stderr, says)
  })

test('all faults of the configuration are told at once, without any value', async (t) => {
  const env = {
    ATLAS_PORT: '70000',
    ATLAS_LOG_LEVEL: 'canary-level',
    ATLAS_CORS_ORIGINS: '*',
    ATLAS_TOKEN_EXPIRY: '2h',
  }

  const { code, stderr } = await refused(newFolder(t), env)

  assert.equal(code, 2)
  for (const name of Object.keys(env)) assert.match(stderr, new RegExp(name))
  assert.doesNotMatch(stderr, /canary-level|70000/)
})

test('another root key, or none beside a database, is an unknown key, and no byte of the data changes', async (t) => {
  const folder = newFolder(t)
  const key = rootKey()
  const first = await startAtlas(t, { folder, env: { ATLAS_SECRET_KEY: key } })
  const stopped = await first.stop()
  assert.deepEqual([stopped.code, stopped.signal], [0, null], stopped.stdout + stopped.stderr)
  const bytes = digests(first.dataDir)

  const wrong = await refused(folder, { ATLAS_SECRET_KEY: rootKey() })
  const none = await refused(folder, {})

  for (const { code, stderr } of [wrong, none]) {
    assert.equal(code, 2)
    assert.match(stderr, /^unknown key: /)
  }
  assert.deepEqual(digests(first.dataDir), bytes)
  const again = await startAtlas(t, { folder, env: { ATLAS_SECRET_KEY: key } })
  assert.equal((await again.ask('GET', '/readyz')).status, 200)
})

test('a database whose made key file was lost is not started with a new key', async (t) => {
  const folder = newFolder(t)
  const first = await startAtlas(t, { folder })
  await first.stop()
  assert.match(first.output.stdout, /A root key was made in .*root\.key\. Keep a copy/)
  rmSync(join(first.dataDir, 'root.key'))

  const { code, stderr } = await refused(folder, {})

  assert.equal(code, 2)
  assert.match(stderr, /unknown key: there is a database but no root key/)
  assert.ok(!existsSync(join(first.dataDir, 'root.key')))
})

test('a second process on one data directory is refused in plain words, and the first goes on', async (t) => {
  const folder = newFolder(t)
  const first = await startAtlas(t, { folder })

  const { code, stderr } = await refused(folder, {})

  assert.deepEqual([code, stderr.trim()], [1, 'Another Atlas process works with this data. Stop it first.'])
  assert.equal((await first.ask('GET', '/readyz')).status, 200)
})

test('after kill -9 the next start records the gap before its own start', async (t) => {
  const folder = newFolder(t)
  const first = await startAtlas(t, { folder })
  await first.stop('SIGKILL')
  const log = await events(await startAtlas(t, { folder }))

  assert.deepEqual(
    log.map(({ code: word }) => word).filter((word) => /^(server|log)\./.test(word)),
    ['server.started', 'log.gap', 'server.started'],
  )
})

test('a busy port ends the start with 2 and a way out', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  t.after(() => void taken.close())
  await eventually(async () => taken.address() ?? undefined)
  const { port } = taken.address() as { port: number }

  const folder = newFolder(t)
  const { code, stderr } = await refused(folder, { ATLAS_PORT: String(port) })

  assert.equal(code, 2)
  assert.match(stderr, new RegExp(`127\\.0\\.0\\.1:${port} \\(EADDRINUSE\\).*ATLAS_PORT`))
  const log = await events(await startAtlas(t, { folder }))
  assert.deepEqual(
    log.map(({ code: word }) => word).filter((word) => word.startsWith('server.')),
    ['server.started', 'server.stopped', 'server.started'],
  )
})

test('what a start writes is for its owner only, whatever the umask', async (t) => {
  const umask = process.umask(0)
  const atlas = await startAtlas(t).finally(() => process.umask(umask))
  await atlas.api('GET', '/me')

  const modes = Object.fromEntries(
    ['.', ...readdirSync(atlas.dataDir)].map((name) => [name, statSync(join(atlas.dataDir, name)).mode & 0o777]),
  )

  const { '.': directory, ...files } = modes
  assert.equal(directory, 0o700)
  assert.ok('atlas.db' in files && 'root.key' in files)
  assert.deepEqual([...new Set(Object.values(files))], [0o600], JSON.stringify(modes))
  const head = readFileSync(join(atlas.dataDir, 'atlas.db')).subarray(0, 16).toString('latin1')
  assert.notEqual(head, 'SQLite format 3\0', 'the file is encrypted')
})

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  test(`${signal} ends with 0; answers under way are given, a sync is put back, and the log says so`, async (t) => {
    const netbox = await startNetbox({ seed: 5, devices: 240, vms: 0 })
    t.after(netbox.stop)
    const folder = newFolder(t)
    const first = await startAtlas(t, { folder })
    const connection = await connect(first, netbox, 'lab', { pageSize: 10 })
    netbox.fault({ kind: 'slow', ms: 100, count: 1000, path: '/api/' })
    const { id } = await first.api<Sync>('POST', `/connections/${connection}/syncs`, { mode: 'full' })
    await eventually(async () =>
      (await first.api<Sync>('GET', `/syncs/${id}`)).state === 'running' ? true : undefined,
    )
    const underWay = first.ask('POST', `/api/v1/connections/${connection}/check`, { body: {} })
    await eventually(async () => (netbox.requests.some(({ path }) => path === '/api/status/') ? true : undefined))

    const { code } = await first.stop(signal)

    assert.equal(code, 0)
    assert.equal((await underWay).status, 200)
    netbox.faults.planned.splice(0)
    const second = await startAtlas(t, { folder })
    const runs = await eventually(async () => {
      const { items } = await second.api<{ items: Sync[] }>('GET', `/connections/${connection}/syncs`)
      return items.some(({ state }) => state === 'succeeded') ? items : undefined
    })
    assert.deepEqual(
      runs.map(({ state }) => state),
      ['succeeded', 'interrupted'],
    )
    const log = await events(second)
    assert.deepEqual(
      log.filter(({ code: word }) => word.startsWith('server.')).map(({ code: word }) => word),
      ['server.started', 'server.stopped', 'server.started'],
    )
  })

test('with a certificate it serves https, and only https', async (t) => {
  const folder = newFolder(t)
  const caPem = writeTls(folder, 0o600)
  const env = { ATLAS_HOST: '0.0.0.0', ATLAS_SSL_CERTFILE: 'tls.crt', ATLAS_SSL_KEYFILE: 'tls.key' }
  const { port } = new URL((await startAtlas(t, { folder, env })).url)

  const answer = await secureGet(`https://127.0.0.1:${port}/api/v1/me`, caPem)
  const plain = await fetch(`http://127.0.0.1:${port}/livez`).then(
    () => 'answered',
    () => 'refused',
  )

  assert.deepEqual([answer.status, answer.hsts !== undefined, plain], [200, true, 'refused'])
})

function digests(folder: string): Record<string, string> {
  return Object.fromEntries(readdirSync(folder).map((name) => [name, hash('sha256', readFileSync(join(folder, name)))]))
}

function writeTls(folder: string, mode: number): string {
  const ca = makeCa('Start CA')
  const { certPem, keyPem } = ca.issue({ commonName: 'localhost', hosts: ['127.0.0.1', 'localhost'] })
  writeFileSync(join(folder, 'tls.crt'), certPem)
  writeFileSync(join(folder, 'tls.key'), keyPem)
  chmodSync(join(folder, 'tls.key'), mode)
  return ca.caPem
}

function secureGet(url: string, ca: string): Promise<{ status: number | undefined; hsts: string | undefined }> {
  return new Promise((resolve, reject) => {
    get(url, { ca, headers: { authorization: `Bearer ${adminToken}` } }, (response) => {
      response.resume()
      resolve({ status: response.statusCode, hsts: response.headers['strict-transport-security'] })
    }).on('error', reject)
  })
}
