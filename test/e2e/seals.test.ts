import assert from 'node:assert/strict'
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { startAws } from '../../simulators/aws/start.ts'
import { startOpenBao } from '../../simulators/openbao/start.ts'
import { freshPostgresUrl } from '../../src/testing/databases.ts'
import { adminToken, type Env, newFolder, runAtlas, startAtlas } from '../../src/testing/server.ts'
import { eventually } from './steps.ts'

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

const providers = { transit, kms }

for (const [name, start] of Object.entries(providers))
  test(`with ${name}, a first start draws and wraps a root key, and while the provider is away only health and unsealing answer (SEC-ENC-7, claims: A40 B9 B15)`, async (t) => {
    const provider = await start(t)
    const folder = newFolder(t)
    const sealedFile = join(folder, 'data', 'root.sealed')
    const first = await startAtlas(t, { folder, env: provider.env })
    const { id } = await first.api<{ id: string }>('POST', '/secrets', { name: 'token', value: 'kept value' })
    await first.stop()
    assert.match(first.output.stdout, /MAKE A RECOVERY KIT NOW/)
    assert.equal(existsSync(join(folder, 'data', 'root.key')), false)
    assert.equal(statSync(sealedFile).mode & 0o777, 0o600)

    const second = await startAtlas(t, { folder, env: provider.env })
    assert.equal((await second.api<{ version: number }>('GET', `/secrets/${id}`)).version, 1)
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
    assert.ok(
      !(stdout + stderr).includes('127.0.0.1:') ||
        !(stdout + stderr).includes(
          new URL(Object.values(provider.env).find((value) => value.startsWith('https://')) ?? '').port,
        ),
      'the provider’s address was printed',
    )
  })

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
