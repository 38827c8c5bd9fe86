import assert from 'node:assert/strict'
import { createSecretKey, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { readConfig, settings } from './config.ts'
import { Secret } from './core/secret.ts'
import { redactorOf } from './start.ts'

const samples: Readonly<Record<string, string>> = { ATLAS_DATABASE_URL: 'postgresql://atlas:canary%2Fvalue-0815@h/d' }

test('each secret of the configuration is known to what redacts, and the password in the address of the database (SEC-ENC-10, claims: D22)', () => {
  const text = (name: string) => samples[name] ?? `${name.toLowerCase()}-${'0123456789abcdef'.repeat(2)}`
  const isSecret = (name: string) =>
    settings[name as keyof typeof settings].safeParse(text(name)).data instanceof Secret
  const names = Object.keys(settings).filter(isSecret)
  // Some of them make sense only together; each is known by itself.
  const secrets = Object.fromEntries(names.map((name) => [name, new Secret(text(name))]))
  const config = { ...readConfig({}), ...secrets }

  const key = randomBytes(32)
  const { redact } = redactorOf(config, createSecretKey(key))

  assert.ok(names.length >= 8, names.join())
  assert.deepEqual(
    names.filter((name) => redact(`<${text(name)}>`) !== '<[secret]>'),
    [],
  )
  assert.equal(redact('password canary/value-0815 is wrong'), 'password [secret] is wrong')
  for (const encoding of ['base64', 'base64url', 'hex'] as const)
    assert.match(redact(key.toString(encoding)) as string, /^\[secret\]=?$/)
})
