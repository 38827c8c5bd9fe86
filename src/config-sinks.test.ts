import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeCa } from '../simulators/lib/ca.ts'
import { ConfigError, plainSecretsIn, readConfig } from './config.ts'
import { sinkSecrets, sinksOf } from './config-sinks.ts'

const whsec = (bytes: number) => `whsec_${Buffer.alloc(bytes, 7).toString('base64')}`
const ca = makeCa()
const { certPem, keyPem } = ca.issue({ commonName: 'hub', client: true })
const webhook = { ATLAS_AUDIT_WEBHOOK_URL: 'https://siem.example/x', ATLAS_AUDIT_WEBHOOK_SECRET: whsec(32) }
const syslog = { ATLAS_AUDIT_SYSLOG: 'tls://logs.example' }
const s3 = {
  ATLAS_AUDIT_S3_BUCKET: 'https://audit.s3.eu-central-1.example',
  ATLAS_AUDIT_S3_REGION: 'eu-central-1',
  ATLAS_AUDIT_S3_ACCESS_KEY_ID: 'AKIAEXAMPLE',
  ATLAS_AUDIT_S3_SECRET_ACCESS_KEY: 'planted-secret-key',
  ATLAS_AUDIT_S3_LOCK_DAYS: '400',
}

function faultsOf(env: NodeJS.ProcessEnv): string[] {
  try {
    readConfig(env)
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    const lines = error.message.split('\n').slice(1)
    return lines.map((line) => line.replace(/^ {2}- /, ''))
  }
}

test('settings of the sinks that fit are taken', () => {
  const more = { ATLAS_AUDIT_SYSLOG_CERT: certPem, ATLAS_AUDIT_SYSLOG_KEY: keyPem, ATLAS_AUDIT_SYSLOG_CA: ca.caPem }
  const prefix = { ATLAS_AUDIT_S3_PREFIX: 'atlas/prod', ATLAS_AUDIT_WEBHOOK_SECRET_PREVIOUS: whsec(24) }

  const sinks = sinksOf(readConfig({ ...webhook, ...syslog, ...s3, ...more, ...prefix }))

  assert.deepEqual(
    [sinks.begin, sinks.syslog?.enterprise, sinks.webhook?.secrets.length, sinks.s3?.prefix, sinks.s3?.lockMode],
    ['first', 32_473, 2, 'atlas/prod/', 'COMPLIANCE'],
  )
  assert.deepEqual(Object.keys(sinksOf(readConfig({}))), ['begin'])
  for (const url of ['tls://[2001:db8::1]:6514', 'tcp://127.0.0.1:601', 'tls://logs.example:10514'])
    assert.deepEqual(faultsOf({ ATLAS_AUDIT_SYSLOG: url }), [], url)
  for (const bytes of [24, 64]) assert.deepEqual(faultsOf({ ...webhook, ATLAS_AUDIT_WEBHOOK_SECRET: whsec(bytes) }), [])
})

const cases: [why: string, env: NodeJS.ProcessEnv, says: RegExp][] = [
  ['syslog in the clear', { ATLAS_AUDIT_SYSLOG: 'tcp://logs.example:514' }, /^ATLAS_AUDIT_SYSLOG: must look like tls/],
  [
    'syslog with a name',
    { ATLAS_AUDIT_SYSLOG: 'tls://me:planted@logs.example' },
    /^ATLAS_AUDIT_SYSLOG: must look like/,
  ],
  ['syslog with a path', { ATLAS_AUDIT_SYSLOG: 'tls://logs.example/x' }, /^ATLAS_AUDIT_SYSLOG: must look like/],
  ['an impossible port', { ATLAS_AUDIT_SYSLOG: 'tls://logs.example:99999' }, /^ATLAS_AUDIT_SYSLOG: must look like/],
  ['a CA that is none', { ...syslog, ATLAS_AUDIT_SYSLOG_CA: 'planted' }, /^ATLAS_AUDIT_SYSLOG_CA: must be PEM/],
  [
    'a CA that cannot be read',
    { ...syslog, ATLAS_AUDIT_SYSLOG_CA: '-----BEGIN CERTIFICATE-----\nplanted\n-----END CERTIFICATE-----' },
    /^ATLAS_AUDIT_SYSLOG_CA cannot be read/,
  ],
  ['a certificate alone', { ...syslog, ATLAS_AUDIT_SYSLOG_CERT: certPem }, /belong together; set both or none$/],
  [
    'a certificate and the key of another',
    {
      ...syslog,
      ATLAS_AUDIT_SYSLOG_CERT: certPem,
      ATLAS_AUDIT_SYSLOG_KEY: generateKeyPairSync('ec', { namedCurve: 'P-256' })
        .privateKey.export({ type: 'pkcs8', format: 'pem' })
        .toString(),
    },
    /are not a certificate and its private key/,
  ],
  ['a CA without a receiver', { ATLAS_AUDIT_WEBHOOK_CA: ca.caPem }, /^ATLAS_AUDIT_WEBHOOK_CA is of no use without/],
  [
    'a webhook in the clear',
    { ...webhook, ATLAS_AUDIT_WEBHOOK_URL: 'http://siem.example' },
    /^ATLAS_AUDIT_WEBHOOK_URL: /,
  ],
  [
    'a webhook with a password',
    { ...webhook, ATLAS_AUDIT_WEBHOOK_URL: 'https://u:planted@s.example' },
    /_URL: must be/,
  ],
  [
    'a webhook that is not signed',
    { ATLAS_AUDIT_WEBHOOK_URL: 'https://s.example' },
    /needs ATLAS_AUDIT_WEBHOOK_SECRET$/,
  ],
  [
    'a short secret',
    { ...webhook, ATLAS_AUDIT_WEBHOOK_SECRET: whsec(23) },
    /^ATLAS_AUDIT_WEBHOOK_SECRET: must be whsec_/,
  ],
  [
    'a long secret',
    { ...webhook, ATLAS_AUDIT_WEBHOOK_SECRET: whsec(65) },
    /^ATLAS_AUDIT_WEBHOOK_SECRET: must be whsec_/,
  ],
  [
    'a secret without its mark',
    { ...webhook, ATLAS_AUDIT_WEBHOOK_SECRET: whsec(32).slice(6) },
    /^ATLAS_AUDIT_WEBHOOK_SECRET: must be whsec_/,
  ],
  ['a bucket in the clear', { ...s3, ATLAS_AUDIT_S3_BUCKET: 'http://s3.example/b' }, /^ATLAS_AUDIT_S3_BUCKET: must be/],
  [
    'a bucket with a query',
    { ...s3, ATLAS_AUDIT_S3_BUCKET: 'https://s3.example/b?x' },
    /^ATLAS_AUDIT_S3_BUCKET: must be/,
  ],
  ['a folder that climbs', { ...s3, ATLAS_AUDIT_S3_PREFIX: 'a/../b' }, /^ATLAS_AUDIT_S3_PREFIX: must look like/],
  [
    'a lock without a time',
    { ...s3, ATLAS_AUDIT_S3_LOCK_DAYS: undefined },
    /^ATLAS_AUDIT_S3_BUCKET needs .*_LOCK_DAYS$/,
  ],
  ['a lock that is none', { ...s3, ATLAS_AUDIT_S3_LOCK_MODE: 'NONE' }, /^ATLAS_AUDIT_S3_LOCK_MODE: /],
]

test('settings of the sinks that do not fit are refused, by name and without the value', () => {
  for (const [why, env, says] of cases) {
    const faults = faultsOf(env)
    assert.equal(faults.length, 1, `${why}: ${faults.join('\n')}`)
    assert.match(faults[0] ?? '', says, why)
    assert.equal(faults.join().includes('planted'), false, why)
  }
})

test('all faults of the sinks come at once', () => {
  const env = {
    ATLAS_AUDIT_S3_BUCKET: 'https://s3.example/b',
    ATLAS_AUDIT_SYSLOG_CA: ca.caPem,
    ATLAS_AUDIT_SYSLOG_KEY: keyPem,
  }
  assert.equal(faultsOf(env).length, 7, faultsOf(env).join('\n'))
})

test('the secrets of the sinks are known as such, so that doctor names those in plain text', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-config-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, '.env')
  const names = Object.keys({ ...webhook, ...syslog, ...s3 })
  const lines = [...new Set([...names, ...sinkSecrets])].map((name) => `${name}=x\n`)
  writeFileSync(file, lines.join(''), { mode: 0o600 })
  assert.deepEqual(plainSecretsIn(file), [...sinkSecrets].sort())
})
