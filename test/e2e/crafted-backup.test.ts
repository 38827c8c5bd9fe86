import assert from 'node:assert/strict'
import { createSecretKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  type BackupHeader,
  backupSigner,
  backupStatement,
  encodeHeader,
  makeBackupWriter,
} from '../../src/lib/backup-file.ts'
import { newId } from '../../src/lib/ids.ts'
import { parseRootKey, rootKeyFingerprint } from '../../src/lib/root-key.ts'
import { formatVkey, signNote } from '../../src/lib/signed-note.ts'
import { newFolder, runAtlas } from '../../src/testing/server.ts'

test('a backup file that somebody crafted writes no control sequences to the terminal', async (t) => {
  const folder = newFolder(t)
  const rootKey = randomBytes(32).toString('base64')
  writeFileSync(join(folder, 'key'), rootKey, { mode: 0o600 })
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const origin = 'atlas.example/audit'
  const header: BackupHeader = {
    format: 1,
    id: newId('bak'),
    version: '1\u001b]0;owned\u0007',
    created: '2026-01-01T00:00:00.000Z',
    dialect: 'sqlite',
    // Anybody who saw a backup knows it.
    rootKey: rootKeyFingerprint(parseRootKey(rootKey)),
    key: '',
    migrations: [{ id: 999_999, name: '\u001b[2Jpwned' }],
    tables: [],
    log: { origin, vkey: formatVkey(origin, publicKey), size: 0, root: '', checkpoint: '' },
  }
  const file = makeBackupWriter(join(folder, 'a.backup'), encodeHeader(header), createSecretKey(randomBytes(32)))
  file.sign(signNote(backupStatement(header, file.end()), backupSigner(origin), privateKey))

  const env = { ATLAS_SECRET_KEY_FILE: join(folder, 'key') }
  const { code, stdout, stderr } = await runAtlas(['restore', join(folder, 'a.backup')], { folder, env })

  assert.equal(code, 1)
  assert.match(stderr, /made by a newer version/)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  assert.doesNotMatch(stdout + stderr, /[\u001b\u0007]/)
})
