import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startAws } from '../simulators/aws/start.ts'
import { startOpenBao } from '../simulators/openbao/start.ts'
import { readConfig } from './config.ts'
import { openReferences } from './referencing.ts'

// From the settings to a value: what the configuration says reaches the places it names.

test('tokens and keys that come from files are read anew when those change (claims: C33)', async (t) => {
  const [bao, aws] = [await startOpenBao(), await startAws()]
  const folder = mkdtempSync(join(tmpdir(), 'atlas-references-'))
  const kept = (name: string, text: string): string => {
    writeFileSync(join(folder, name), `${text}\n`, { mode: 0o600 })
    return join(folder, name)
  }
  const session = aws.makeUser('session', ['secretsmanager:GetSecretValue'], 'a-session-token')
  bao.teamKv.put('lab', { token: 'the-team-token' })
  aws.secrets.put('atlas/lab', { text: 'the-aws-token' })
  const env = {
    ATLAS_REFERENCE_VAULT_URL: `${bao.url}/`,
    ATLAS_REFERENCE_VAULT_TOKEN_FILE: kept('token', 's.an-old-token'),
    ATLAS_REFERENCE_VAULT_NAMESPACE: 'team',
    ATLAS_REFERENCE_VAULT_CA_FILE: kept('bao.pem', bao.caPem),
    ATLAS_REFERENCE_VAULT_KV: 'secret/',
    ATLAS_REFERENCE_AWS_REGION: aws.region,
    ATLAS_REFERENCE_AWS_ENDPOINT: aws.url,
    ATLAS_REFERENCE_AWS_CA_FILE: kept('aws.pem', aws.caPem),
    ATLAS_REFERENCE_AWS_ACCESS_KEY_ID: session.accessKeyId,
    ATLAS_REFERENCE_AWS_SECRET_ACCESS_KEY_FILE: kept('key', session.secretAccessKey),
    ATLAS_REFERENCE_AWS_SESSION_TOKEN_FILE: kept('session', 'an-old-session'),
    ATLAS_REFERENCE_AWS_NAMES: 'atlas/',
  }
  const references = openReferences(readConfig(env), () => new Date())
  t.after(async () => {
    await references.close()
    await Promise.all([bao.stop(), aws.stop()])
    rmSync(folder, { recursive: true, force: true })
  })
  const read = (text: string): Promise<string> =>
    references.read(text).then(
      ({ value }) => value.reveal(),
      (error: Error) => error.message,
    )
  const [ofVault, ofAws] = ['vault://secret/lab#token', 'awssm://atlas/lab']
  assert.match(await read(ofVault), /the vault refuses it/)
  assert.match(await read(ofAws), /AWS Secrets Manager does not know the access key/)

  kept('token', bao.tokens.make({ namespace: 'team', rules: [{ path: 'secret/data/*', capabilities: ['read'] }] }))
  kept('session', 'a-session-token')
  assert.deepEqual([await read(ofVault), await read(ofAws)], ['the-team-token', 'the-aws-token'])
})

test('a file of a token that is gone is said to be', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-references-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'token')
  writeFileSync(file, 's.token', { mode: 0o600 })
  const config = readConfig({
    ATLAS_REFERENCE_VAULT_URL: 'https://127.0.0.1:1',
    ATLAS_REFERENCE_VAULT_TOKEN_FILE: file,
    ATLAS_REFERENCE_VAULT_KV: 'secret/',
  })
  rmSync(file)
  const references = openReferences(config, () => new Date())
  t.after(references.close)
  await assert.rejects(references.read('vault://secret/lab#token'), {
    message: 'vault://secret/lab#token: the file in ATLAS_REFERENCE_VAULT_TOKEN_FILE cannot be read',
  })
})
