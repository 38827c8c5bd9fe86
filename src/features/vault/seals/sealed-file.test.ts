import assert from 'node:assert/strict'
import { createSecretKey, randomBytes } from 'node:crypto'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { startOpenBao } from '../../../../simulators/openbao/start.ts'
import { Secret } from '../../../core/secret.ts'
import { makeOutbound } from '../../../lib/outbound.ts'
import type { Seal } from './seal.ts'
import { readSealedFile, type SealedKey, unwrapRootKey, wrapRootKey, writeSealedFile } from './sealed-file.ts'
import { makeTransitSeal } from './transit.ts'

const key = createSecretKey(randomBytes(32))
const sealed: SealedKey = { v: 1, kind: 'transit', key: 'transit/atlas', wrapped: 'x', fingerprint: '0123456789abcdef' }

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'atlas-sealed-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

async function transit(t: TestContext): Promise<Seal> {
  const bao = await startOpenBao()
  t.after(() => bao.stop())
  const send = makeOutbound({ ca: bao.caPem })
  return makeTransitSeal({ send, url: bao.url, mount: 'transit', key: 'atlas', token: new Secret(bao.credential) })
}

test('a root key that somebody else wrapped with the same key of the provider is noticed by its fingerprint', async (t) => {
  const seal = await transit(t)
  const mine = await wrapRootKey(seal, key)
  const binding = { application: 'infrastructure-atlas', purpose: 'root-key', fingerprint: mine.fingerprint }

  assert.ok((await unwrapRootKey(seal, { ...mine, wrapped: await seal.wrap(key.export(), binding) })).equals(key))
  for (const planted of [randomBytes(32), randomBytes(16), Buffer.concat([key.export(), Buffer.alloc(1)])]) {
    const wrapped = await seal.wrap(planted, binding)
    await assert.rejects(unwrapRootKey(seal, { ...mine, wrapped }), { reason: 'wrong-ciphertext' })
  }
})

test('nobody relies on a wrapped key that the provider does not give back', async (t) => {
  const honest = await transit(t)
  const seals: Seal[] = [
    { ...honest, unwrap: async () => randomBytes(32) },
    { ...honest, wrap: () => honest.wrap(randomBytes(32), {}) },
  ]
  for (const seal of seals) await assert.rejects(wrapRootKey(seal, key), { reason: 'wrong-ciphertext' })
})

test('the file is for its owner only, is whole, and is overwritten only when that is meant', (t) => {
  const path = join(folder(t), 'root.sealed')
  assert.equal(readSealedFile(path), undefined)

  writeSealedFile(path, sealed, { replace: false })

  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.deepEqual(readSealedFile(path), sealed)
  const other = { ...sealed, wrapped: 'y' }
  assert.throws(() => writeSealedFile(path, other, { replace: false }), /exists already; it is not overwritten/)
  assert.deepEqual(readSealedFile(path), sealed)
  writeSealedFile(path, other, { replace: true })
  assert.deepEqual(readSealedFile(path), other)
  assert.deepEqual(readdirSync(join(path, '..')), ['root.sealed'])
  assert.throws(() => writeSealedFile(join(path, 'below'), sealed, { replace: true }), /cannot be written \(ENOTDIR\)/)
})

const rows: readonly [what: string, make: (path: string) => void, says: RegExp][] = [
  ['a folder', (path) => mkdirSync(path), /is not a regular file/],
  ['a link to nowhere', (path) => symlinkSync('/dev/null', path), /is not a regular file/],
  ['one that others may write', (path) => write(path, JSON.stringify(sealed), 0o602), /can be changed by others/],
  ['one that the group may write', (path) => write(path, JSON.stringify(sealed), 0o620), /can be changed by others/],
  ['an empty file', (path) => write(path, ''), /is damaged/],
  ['another version', (path) => write(path, JSON.stringify({ ...sealed, v: 2 })), /is damaged/],
  ['one without a fingerprint', (path) => write(path, JSON.stringify({ ...sealed, fingerprint: '' })), /is damaged/],
  [
    'one that is too large',
    (path) => write(path, JSON.stringify({ ...sealed, wrapped: 'x'.repeat(70_000) })),
    /damaged/,
  ],
]

test('what is not a wrapped root key is refused in words, without its content', (t) => {
  for (const [what, make, says] of rows) {
    const path = join(folder(t), 'root.sealed')
    make(path)
    assert.throws(() => readSealedFile(path), says, what)
  }
})

function write(path: string, content: string, mode = 0o600): void {
  writeFileSync(path, content)
  chmodSync(path, mode)
  assert.equal(readFileSync(path, 'utf8'), content)
}
