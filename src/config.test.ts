import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { aliases, ConfigError, plainSecretsIn, readConfig, settings } from './config.ts'

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'atlas-config-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

function faultsOf(env: NodeJS.ProcessEnv, file?: string): string[] {
  try {
    readConfig(env, file)
  } catch (error) {
    if (error instanceof ConfigError)
      return error.message
        .split('\n')
        .slice(1)
        .map((line) => line.replace(/^ {2}- /, ''))
    throw error
  }
  return []
}

const faults: { name: string; env: NodeJS.ProcessEnv; says: RegExp[] }[] = [
  {
    name: 'an unknown name',
    env: { ATLAS_PROT: '1' },
    says: [/^ATLAS_PROT is not a setting; did you mean ATLAS_PORT\?$/],
  },
  { name: 'a port that is none', env: { ATLAS_PORT: 'eighty' }, says: [/^ATLAS_PORT: /] },
  {
    name: 'three faults at once',
    env: { ATLAS_PORT: '99999', ATLAS_LOG_LEVEL: 'loud', ATLAS_X: '1' },
    says: [/^ATLAS_X /, /^ATLAS_PORT: /, /^ATLAS_LOG_LEVEL: /],
  },
  { name: 'plain http on every interface', env: { ATLAS_HOST: '0.0.0.0' }, says: [/plain http is refused/] },
  { name: 'a certificate without its key', env: { ATLAS_SSL_CERTFILE: '/x' }, says: [/belong together/] },
  {
    name: 'CORS for everybody',
    env: { ATLAS_CORS_ORIGINS: '*' },
    says: [/^ATLAS_CORS_ORIGINS: must be an exact origin/],
  },
  { name: 'an origin with a path', env: { ATLAS_CORS_ORIGINS: 'https://a.example/x' }, says: [/exact origin/] },
  { name: 'tokens that live too long', env: { ATLAS_TOKEN_EXPIRY: '2h' }, says: [/at most 1h/] },
  {
    name: 'a proxy list that is no list of addresses',
    env: { ATLAS_TRUSTED_PROXIES: 'true' },
    says: [/^ATLAS_TRUSTED_PROXIES: /],
  },
  {
    name: 'a proxy without the public address',
    env: { ATLAS_TRUSTED_PROXIES: '10.0.0.1' },
    says: [/ATLAS_PUBLIC_URL must say/],
  },
  {
    name: 'certificate checks switched off for the process',
    env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' },
    says: [/NODE_TLS_REJECT_UNAUTHORIZED=0/],
  },
  {
    name: 'a database of another kind',
    env: { ATLAS_DATABASE_URL: 'mysql://x' },
    says: [/^ATLAS_DATABASE_URL: must start with postgresql/],
  },
  {
    name: 'a policy of witnesses that is none',
    env: { ATLAS_AUDIT_POLICY: 'witness w' },
    says: [/^ATLAS_AUDIT_POLICY: line 1 of the policy: /],
  },
  {
    name: 'a witness that is asked in the clear',
    env: {
      ATLAS_AUDIT_POLICY:
        'witness w witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv http://w.example\nquorum w\n',
    },
    says: [/^ATLAS_AUDIT_POLICY: w must be asked over https$/],
  },
  {
    name: 'a retention that would switch auditing off',
    env: { ATLAS_AUDIT_RETENTION: '30d', ATLAS_AUDIT_DETAIL_RETENTION: 'read=1d' },
    says: [
      /^ATLAS_AUDIT_RETENTION: 30d is less than 90 days, the least that can be set$/,
      /^ATLAS_AUDIT_DETAIL_RETENTION: 1d is less than 7 days, the least that can be set$/,
    ],
  },
  {
    name: 'details that would outlive their entries',
    env: { ATLAS_AUDIT_RETENTION: '1y', ATLAS_AUDIT_DETAIL_RETENTION: 'read=90d,default=2y' },
    says: [/^ATLAS_AUDIT_DETAIL_RETENTION: the details of reveal would be kept 730 days, longer than their entries/],
  },
  {
    name: 'a value and its file',
    env: { ATLAS_API_TOKEN: 'a', ATLAS_API_TOKEN_FILE: '/dev/null' },
    says: [/both set ATLAS_API_TOKEN/],
  },
  {
    name: 'a file that is not there',
    env: { ATLAS_SECRET_KEY_FILE: '/nowhere/key' },
    says: [/^ATLAS_SECRET_KEY_FILE: the file cannot be read \(ENOENT\)/],
  },
]

for (const c of faults)
  test(`configuration: ${c.name} is refused, by name and without the value`, () => {
    const found = faultsOf(c.env)
    assert.equal(found.length, c.says.length, found.join('\n'))
    for (const [i, pattern] of c.says.entries()) assert.match(found[i] ?? '', pattern)
  })

test('configuration: the audit log cannot be switched off (claims: B26)', () => {
  assert.deepEqual(faultsOf({ ATLAS_AUDIT_ENABLED: 'false' }), [
    'ATLAS_AUDIT_ENABLED: the audit log is always on; it cannot be switched off',
  ])
  assert.equal(readConfig({ ATLAS_AUDIT_ENABLED: 'true', ATLAS_LOG_LEVEL: 'silent' }).ATLAS_AUDIT_ENABLED, true)
})

test('configuration: secrets that stand in .env as plain text are found, and those in files of their own are not (claims: D34)', (t) => {
  const file = join(folder(t), '.env')
  const lines = [
    'ATLAS_PORT=9000',
    'ATLAS_SECRET_KEY=abc',
    'MCP_TOKEN=abc',
    'ATLAS_METRICS_TOKEN_FILE=/run/secrets/metrics',
    'ATLAS_DATABASE_URL=postgresql://atlas:abc@db/atlas',
    'SOMETHING_ELSE=abc',
  ]
  writeFileSync(file, lines.join('\n'), { mode: 0o600 })
  assert.deepEqual(plainSecretsIn(file), ['ATLAS_DATABASE_URL', 'ATLAS_SECRET_KEY', 'MCP_TOKEN'])
})

test("configuration: a vendor's library gets the environment without our settings, their aliases and what secrets refer to", () => {
  const env = {
    SOFTHSM2_CONF: '/etc/softhsm2.conf',
    ATLAS_API_TOKEN: 'Zk3vR8wQ2nT6yB1mX9cL5pHs7dF4gJ0a',
    MCP_TOKEN_FILE: '/nowhere',
    AWS_SECRET_ACCESS_KEY: 'x'.repeat(40),
    ATLAS_REFERENCE_ENV: 'LAB_TOKEN',
    LAB_TOKEN: 'abc',
  }
  assert.deepEqual(readConfig(env).foreign, { SOFTHSM2_CONF: '/etc/softhsm2.conf' })
})

test('configuration: nothing set gives the documented defaults', () => {
  const { ATLAS_HOST, ATLAS_PORT, ATLAS_RATE_LIMIT_RPM, ATLAS_TOKEN_EXPIRY, notices } = readConfig({})
  assert.deepEqual(
    { ATLAS_HOST, ATLAS_PORT, ATLAS_RATE_LIMIT_RPM, ATLAS_TOKEN_EXPIRY, notices },
    { ATLAS_HOST: '127.0.0.1', ATLAS_PORT: 8080, ATLAS_RATE_LIMIT_RPM: 100, ATLAS_TOKEN_EXPIRY: 3600, notices: [] },
  )
})

test('configuration: an alias is read with a notice, and our own name wins', () => {
  const one = readConfig({ MCP_TOKEN: 'from-alias' })
  const both = readConfig({ MCP_TOKEN: 'from-alias', ATLAS_API_TOKEN: 'ours' })
  assert.deepEqual([one.ATLAS_API_TOKEN?.reveal(), both.ATLAS_API_TOKEN?.reveal()], ['from-alias', 'ours'])
  assert.deepEqual(one.notices, ['MCP_TOKEN is read as ATLAS_API_TOKEN; please rename it'])
  assert.deepEqual(both.notices, ['MCP_TOKEN is ignored, because ATLAS_API_TOKEN is set'])
})

test('configuration: a value comes from a file, without its last newline', (t) => {
  const file = join(folder(t), 'token')
  writeFileSync(file, 'the value\n')
  assert.equal(readConfig({ ATLAS_API_TOKEN_FILE: file }).ATLAS_API_TOKEN?.reveal(), 'the value')
})

test('configuration: .env is read when only its owner can read it, and the environment wins (claims: D10 E24)', (t) => {
  const file = join(folder(t), '.env')
  writeFileSync(file, '# a comment\nATLAS_PORT=9000\nexport ATLAS_LOG_LEVEL="warn" # why\n', { mode: 0o600 })
  const { ATLAS_PORT, ATLAS_LOG_LEVEL } = readConfig({ ATLAS_PORT: '9001' }, file)
  assert.deepEqual({ ATLAS_PORT, ATLAS_LOG_LEVEL }, { ATLAS_PORT: 9001, ATLAS_LOG_LEVEL: 'warn' })
})

for (const mode of [0o640, 0o604, 0o644, 0o620])
  test(`configuration: .env with mode ${mode.toString(8)} is refused (claims: D10)`, (t) => {
    const file = join(folder(t), '.env')
    writeFileSync(file, 'ATLAS_PORT=9000\n')
    chmodSync(file, mode)
    assert.match(faultsOf({}, file).join(), /can be read by others.*chmod 600/)
  })

test('configuration: no fault shows a value', () => {
  const planted = 'planted-secret-value'
  const text = faultsOf({
    ATLAS_DATABASE_URL: planted,
    ATLAS_PORT: planted,
    ATLAS_LOG_LEVEL: planted,
    ATLAS_CORS_ORIGINS: planted,
  }).join('\n')
  assert.equal(text.includes(planted), false, text)
})

test('configuration: .env.example names every setting, and starts nothing by itself (claims: A9)', () => {
  const example = readFileSync('.env.example', 'utf8')
  const names = [...example.matchAll(/^#\s*(ATLAS_[A-Z0-9_]+)=/gm)].map((match) => match[1])
  assert.deepEqual(names.sort(), Object.keys(settings).sort())
  assert.deepEqual(
    example.split('\n').filter((line) => line !== '' && !line.startsWith('#')),
    [],
  )
})

test('configuration: the page in docs lists every setting and alias', () => {
  const page = readFileSync('docs/operate/configuration.md', 'utf8')
  const rows = [...page.matchAll(/^\| `([A-Z0-9_]+)` \|/gm)].map((match) => match[1])
  assert.deepEqual(rows.sort(), [...Object.keys(settings), ...Object.keys(aliases)].sort())
})
