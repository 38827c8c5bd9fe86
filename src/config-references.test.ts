import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeCa } from '../simulators/lib/ca.ts'
import { aliases, ConfigError, readConfig, settings } from './config.ts'
import { Secret } from './core/secret.ts'

// Secrets of the configuration, and what references are allowed by it.

const planted = 'cGxhbnRlZC1zZWNyZXQtMDEyMzQ1Njc4OWFiY2RlZgo'
/** Of each setting a value that it may have as a secret. */
const samples = [
  planted,
  'postgresql://atlas@db.example/planted',
  `whsec_${Buffer.alloc(32, 'planted').toString('base64')}`,
]
const client = makeCa().issue({ commonName: 'atlas', client: true })
const sampleOf = (name: string) =>
  name === 'ATLAS_AUDIT_SYSLOG_KEY'
    ? client.keyPem.trim()
    : samples.find((text) => settings[name as keyof typeof settings].safeParse(text).data instanceof Secret)
const secretSettings = Object.keys(settings).filter((name) => sampleOf(name) !== undefined)

const vault = {
  ATLAS_REFERENCE_VAULT_URL: 'https://vault.example',
  ATLAS_REFERENCE_VAULT_TOKEN: 's.token',
  ATLAS_REFERENCE_VAULT_KV: 'secret/atlas/',
}
const aws = {
  ATLAS_REFERENCE_AWS_REGION: 'eu-central-1',
  ATLAS_REFERENCE_AWS_ACCESS_KEY_ID: 'AKIA0000000000000000',
  ATLAS_REFERENCE_AWS_SECRET_ACCESS_KEY: 'x',
  ATLAS_REFERENCE_AWS_NAMES: 'atlas/',
}
/** What a setting is only allowed together with. */
const beside = (name: string): Record<string, string> => ({
  ...(name.startsWith('ATLAS_REFERENCE_VAULT_') && vault),
  ...(name.startsWith('ATLAS_REFERENCE_AWS_') && aws),
  ...(name.startsWith('ATLAS_AUDIT_SYSLOG_') && {
    ATLAS_AUDIT_SYSLOG: 'tls://logs.example:6514',
    ATLAS_AUDIT_SYSLOG_CERT: client.certPem,
  }),
  ...(name.startsWith('ATLAS_AUDIT_WEBHOOK_') && {
    ATLAS_AUDIT_WEBHOOK_URL: 'https://siem.example/atlas',
    ATLAS_AUDIT_WEBHOOK_SECRET: `whsec_${Buffer.alloc(32, 'another').toString('base64')}`,
  }),
  ...(name.startsWith('ATLAS_AUDIT_S3_') && {
    ATLAS_AUDIT_S3_BUCKET: 'https://bucket.s3.example',
    ATLAS_AUDIT_S3_REGION: 'eu-central-1',
    ATLAS_AUDIT_S3_ACCESS_KEY_ID: 'AKIA0000000000000000',
    ATLAS_AUDIT_S3_LOCK_DAYS: '30',
  }),
})

test('the settings that are secrets are found by what they become', () => {
  for (const name of ['ATLAS_SECRET_KEY', 'ATLAS_API_TOKEN', 'ATLAS_DATABASE_URL', 'ATLAS_REFERENCE_VAULT_TOKEN'])
    assert.ok(secretSettings.includes(name), name)
  // A setting with such a name that is no secret would be printed somewhere. The token of PKCS#11 is a label.
  const named = Object.keys(settings).filter((name) => /_(TOKEN|PASSWORD|SECRET|SECRET_KEY|ACCESS_KEY|PIN)$/.test(name))
  assert.deepEqual(
    named.filter((name) => !secretSettings.includes(name)),
    ['ATLAS_PKCS11_TOKEN'],
  )
})

for (const name of secretSettings)
  test(`${name} is read from the environment and from a file, and from one of them (claims: C5 D5)`, (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'atlas-config-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const text = sampleOf(name) ?? ''
    const file = join(folder, 'value')
    writeFileSync(file, `${text}\n`, { mode: 0o600 })
    const { [name]: _, ...others } = beside(name)
    const read = (env: Record<string, string>) => readConfig({ ...others, ...env })[name as keyof typeof settings]
    const [plain, fromFile] = [read({ [name]: text }), read({ [`${name}_FILE`]: file })]
    assert.ok(plain instanceof Secret && fromFile instanceof Secret)
    assert.deepEqual([plain.reveal(), fromFile.reveal()], [text, text])
    assert.equal(String(plain), '[secret]')
    const both = () => read({ [name]: text, [`${name}_FILE`]: file })
    assert.throws(both, (error) => error instanceof ConfigError && !error.message.includes(text))
    // .env as well, where a value has one line.
    if (text.includes('\n')) return
    const envFile = join(folder, '.env')
    writeFileSync(envFile, `${name}=${text}\n`, { mode: 0o600 })
    const kept = readConfig(others, envFile)[name as keyof typeof settings]
    assert.ok(kept instanceof Secret && kept.reveal() === text)
  })

const faults: readonly { title: string; env: Record<string, string>; says: RegExp }[] = [
  ...['ATLAS_API_TOKEN', 'ATLAS_X', 'atlas_api_token', ...Object.keys(aliases), 'SECRET_KEY_FILE'].map((name) => ({
    title: `a reference to ${name}`,
    env: { ATLAS_REFERENCE_ENV: `NETBOX_TOKEN, ${name}` },
    says: new RegExp(`ATLAS_REFERENCE_ENV: ${name} is a setting of Atlas, which no reference may read$`, 'm'),
  })),
  {
    title: 'a name that is none',
    env: { ATLAS_REFERENCE_ENV: 'A*' },
    says: /ATLAS_REFERENCE_ENV: must be names of variables/,
  },
  { title: 'a relative directory', env: { ATLAS_REFERENCE_DIR: 'secrets' }, says: /must be an absolute path/ },
  { title: 'the whole disk', env: { ATLAS_REFERENCE_DIR: '/' }, says: /must be an absolute path/ },
  { title: 'a directory with dots', env: { ATLAS_REFERENCE_DIR: '/run/../etc' }, says: /must be an absolute path/ },
  {
    title: 'a vault in the clear',
    env: { ...vault, ATLAS_REFERENCE_VAULT_URL: 'http://vault.example' },
    says: /ATLAS_REFERENCE_VAULT_URL: must be https \(http only on loopback\)/,
  },
  {
    title: 'a vault without a token',
    env: { ATLAS_REFERENCE_VAULT_URL: 'https://vault.example', ATLAS_REFERENCE_VAULT_KV: 'secret/' },
    says: /ATLAS_REFERENCE_VAULT_URL: also set ATLAS_REFERENCE_VAULT_TOKEN, or none of them/,
  },
  {
    title: 'a vault of which nothing is allowed',
    env: { ATLAS_REFERENCE_VAULT_URL: 'https://vault.example', ATLAS_REFERENCE_VAULT_TOKEN: 'x' },
    says: /what may be read there .* belong together/,
  },
  {
    title: 'paths of no vault',
    env: { ATLAS_REFERENCE_VAULT_KV: 'secret/' },
    says: /what may be read there .* belong together/,
  },
  {
    title: 'everything in a vault',
    env: { ...vault, ATLAS_REFERENCE_VAULT_KV: '/' },
    says: /must look like secret\/atlas\//,
  },
  {
    title: 'a path with a star',
    env: { ...vault, ATLAS_REFERENCE_VAULT_KV: 'secret/*' },
    says: /must look like secret\/atlas\//,
  },
  {
    title: 'a folder of leases',
    env: { ...vault, ATLAS_REFERENCE_VAULT_LEASES: 'database/creds/' },
    says: /must look like database\/creds\/atlas/,
  },
  {
    title: 'AWS without names',
    env: { ...aws, ATLAS_REFERENCE_AWS_NAMES: '' },
    says: /also set ATLAS_REFERENCE_AWS_NAMES, or none of them/,
  },
  {
    title: 'AWS in the clear',
    env: { ...aws, ATLAS_REFERENCE_AWS_ENDPOINT: 'http://aws.example' },
    says: /ATLAS_REFERENCE_AWS_ENDPOINT: must be https/,
  },
]

for (const { title, env, says } of faults)
  test(`references: ${title} stops the start, by name (claims: C33 D25)`, () => {
    assert.throws(
      () => readConfig(env),
      (error) => error instanceof ConfigError && says.test(error.message),
    )
  })

test('references: the named variables are kept as far as they are set, and no others (claims: C33)', () => {
  const env = { ATLAS_REFERENCE_ENV: 'A_TOKEN,EMPTY,UNSET,toString', A_TOKEN: 'a', EMPTY: '', OTHER: 'o' }
  const { referenced } = readConfig(env)
  assert.deepEqual(
    Object.entries(referenced).map(([name, value]) => [name, value.reveal()]),
    [['A_TOKEN', 'a']],
  )
  assert.deepEqual(readConfig({ HOME: '/root' }).referenced, {})
})
