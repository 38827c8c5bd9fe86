import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ConfigError, readConfig } from './config.ts'

const transit = {
  ATLAS_SEAL: 'transit',
  ATLAS_TRANSIT_URL: 'https://bao.example:8200',
  ATLAS_TRANSIT_KEY: 'atlas',
  ATLAS_TRANSIT_TOKEN: 'planted-token',
}
const kms = {
  ATLAS_SEAL: 'aws-kms',
  ATLAS_KMS_KEY: 'alias/atlas',
  ATLAS_AWS_REGION: 'eu-central-1',
  ATLAS_AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE',
  ATLAS_AWS_SECRET_ACCESS_KEY: 'planted-secret',
}
const pkcs11 = {
  ATLAS_SEAL: 'pkcs11',
  ATLAS_PKCS11_MODULE: '/usr/lib/module.so',
  ATLAS_PKCS11_TOKEN: 'atlas',
  ATLAS_PKCS11_KEY: 'root',
  ATLAS_PKCS11_PIN: 'planted-pin',
}

const rows: readonly [what: string, env: NodeJS.ProcessEnv, says: readonly RegExp[]][] = [
  ['Transit with all it needs', transit, []],
  ['KMS with all it needs', kms, []],
  ['a token with all it needs', pkcs11, []],
  ['a slot instead of a token', { ...pkcs11, ATLAS_PKCS11_TOKEN: '', ATLAS_PKCS11_SLOT: '0' }, []],
  ['Transit on loopback without TLS', { ...transit, ATLAS_TRANSIT_URL: 'http://127.0.0.1:8200' }, []],
  ['a kind that there is not', { ATLAS_SEAL: 'gcp' }, [/^ATLAS_SEAL: /]],
  [
    'Transit with nothing, all at once',
    { ATLAS_SEAL: 'transit' },
    [/needs ATLAS_TRANSIT_URL$/, /needs ATLAS_TRANSIT_KEY$/, /needs ATLAS_TRANSIT_TOKEN$/],
  ],
  [
    'KMS with nothing, all at once',
    { ATLAS_SEAL: 'aws-kms' },
    [/needs ATLAS_KMS_KEY$/, /needs ATLAS_AWS_REGION$/, /_ACCESS_KEY_ID$/, /_SECRET_ACCESS_KEY$/],
  ],
  [
    'a token with nothing, all at once',
    { ATLAS_SEAL: 'pkcs11' },
    [/needs ATLAS_PKCS11_MODULE$/, /needs ATLAS_PKCS11_KEY$/, /needs ATLAS_PKCS11_PIN$/, /_TOKEN or ATLAS_PKCS11_SLOT/],
  ],
  ['a token and a slot', { ...pkcs11, ATLAS_PKCS11_SLOT: '0' }, [/_TOKEN or ATLAS_PKCS11_SLOT, and not both/]],
  ['a library by its name alone', { ...pkcs11, ATLAS_PKCS11_MODULE: 'libsofthsm2.so' }, [/absolute path/]],
  [
    'Transit in the clear',
    { ...transit, ATLAS_TRANSIT_URL: 'http://bao.example' },
    [/^ATLAS_TRANSIT_URL: must be https/],
  ],
  ['KMS in the clear', { ...kms, ATLAS_KMS_ENDPOINT: 'http://kms.example' }, [/^ATLAS_KMS_ENDPOINT: must be https/]],
  ['an address with a user', { ...transit, ATLAS_TRANSIT_URL: 'https://a:planted@bao.example' }, [/an address alone/]],
  ['an address with a query', { ...kms, ATLAS_KMS_ENDPOINT: 'https://kms.example/?x=planted' }, [/an address alone/]],
  ['a mount that climbs', { ...transit, ATLAS_TRANSIT_MOUNT: '../sys' }, [/^ATLAS_TRANSIT_MOUNT: /]],
  ['a mount that ends in /', { ...transit, ATLAS_TRANSIT_MOUNT: 'transit/' }, [/^ATLAS_TRANSIT_MOUNT: /]],
  ['a key name with a path', { ...transit, ATLAS_TRANSIT_KEY: 'a/../../sys' }, [/^ATLAS_TRANSIT_KEY: /]],
  [
    'a namespace with a line break',
    { ...transit, ATLAS_TRANSIT_NAMESPACE: 'a\r\nx: y' },
    [/^ATLAS_TRANSIT_NAMESPACE: /],
  ],
  ['a region that is none', { ...kms, ATLAS_AWS_REGION: 'eu/evil.example' }, [/must be a region/]],
  ['an id of keys that is none', { ...kms, ATLAS_AWS_ACCESS_KEY_ID: 'a, b' }, [/not the id of an access key/]],
  [
    'a provider and people',
    { ...transit, ATLAS_SEALED: 'true' },
    [/^ATLAS_SEAL asks a provider .* ATLAS_SEALED asks people/],
  ],
  ['odd settings of AWS that nothing uses', { AWS_REGION: 'nowhere', AWS_ACCESS_KEY_ID: 'a, b' }, []],
]

test('settings of a seal: what is missing or wrong is said, by name and without the value', () => {
  for (const [what, env, says] of rows) {
    const found = faultsOf(env)
    assert.equal(found.length, says.length, `${what}: ${found.join('\n')}`)
    for (const [i, pattern] of says.entries()) assert.match(found[i] ?? '', pattern, what)
    assert.doesNotMatch(found.join(), /planted/, what)
  }
})

test('settings of a seal: the names that AWS tools read are read without a notice, and ours win', () => {
  const {
    ATLAS_AWS_REGION: region,
    ATLAS_AWS_ACCESS_KEY_ID: id,
    ATLAS_AWS_SECRET_ACCESS_KEY: key,
    ATLAS_AWS_SESSION_TOKEN: session,
    notices,
  } = readConfig({
    AWS_REGION: 'eu-central-1',
    AWS_ACCESS_KEY_ID: 'AKIATHEIRS',
    ATLAS_AWS_ACCESS_KEY_ID: 'AKIAOURS',
    AWS_SECRET_ACCESS_KEY: 'the secret',
    AWS_SESSION_TOKEN: 'the session',
  })
  assert.deepEqual(
    [region, id, key?.reveal(), session?.reveal()],
    ['eu-central-1', 'AKIAOURS', 'the secret', 'the session'],
  )
  assert.deepEqual(notices, ['AWS_ACCESS_KEY_ID is ignored, because ATLAS_AWS_ACCESS_KEY_ID is set'])
})

test('settings of a seal: a file that holds what opens the root key is refused when others can read it', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-config-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'secret')
  writeFileSync(file, 'planted')
  const names = ['TRANSIT_TOKEN', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'PKCS11_PIN', 'SECRET_KEY']
  for (const name of names)
    for (const mode of [0o640, 0o604, 0o600]) {
      chmodSync(file, mode)
      const found = faultsOf({ [`ATLAS_${name}_FILE`]: file })
      assert.deepEqual(
        found.map((fault) => /what opens the root key can be read by others .*run: chmod 600/.test(fault)),
        mode === 0o600 ? [] : [true],
        name,
      )
    }
})

function faultsOf(env: NodeJS.ProcessEnv): string[] {
  try {
    readConfig(env)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.message
      .split('\n')
      .slice(1)
      .map((line) => line.replace(/^ {2}- /, ''))
  }
}
