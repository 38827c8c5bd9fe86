import assert from 'node:assert/strict'
import { createSecretKey, randomBytes } from 'node:crypto'
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Secret } from './core/secret.ts'
import { createKeyFile, readKeyFile } from './lib/root-key.ts'
import { environmentSource, fileSource, NotReplaceable, type Staging, sharesSource } from './root-key-source.ts'

const newKey = () => createSecretKey(randomBytes(32))

function keyFile(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-key-'))
  t.after(() => {
    chmodSync(folder, 0o700)
    rmSync(folder, { recursive: true, force: true })
  })
  const path = join(folder, 'root.key')
  const first = createKeyFile(path)
  const source = fileSource(path)
  return { folder, path, first, source, staging: source.staging as Staging }
}

test('a staged key lies beside the current one, for its owner only, until it is promoted', async (t) => {
  const { folder, path, first, source, staging } = keyFile(t)
  const next = newKey()

  assert.equal(await staging.staged(), undefined)
  await staging.stage(next)

  assert.ok((await source.read()).equals(first))
  assert.ok((await staging.staged())?.equals(next))
  assert.equal(statSync(`${path}.next`).mode & 0o777, 0o600)
  await staging.promote()
  assert.ok((await source.read()).equals(next))
  assert.deepEqual(readdirSync(folder), ['root.key'])
})

test('staging once more replaces what was staged', async (t) => {
  const { folder, staging } = keyFile(t)
  const [first, second] = [newKey(), newKey()]
  await staging.stage(first)
  await staging.stage(second)
  assert.ok((await staging.staged())?.equals(second))
  assert.deepEqual(readdirSync(folder).sort(), ['root.key', 'root.key.next'])
})

test('a staged key that is dropped leaves nothing, and dropping nothing is fine', async (t) => {
  const { folder, first, source, staging } = keyFile(t)
  await staging.stage(newKey())
  await staging.drop()
  await staging.drop()
  assert.equal(await staging.staged(), undefined)
  assert.ok((await source.read()).equals(first))
  assert.deepEqual(readdirSync(folder), ['root.key'])
})

test('half a key that a crash left is not a staged key, and the next one takes its place', async (t) => {
  const { folder, path, staging } = keyFile(t)
  writeFileSync(`${path}.next.new`, 'AbC', { mode: 0o600 })
  assert.equal(await staging.staged(), undefined)
  const next = newKey()
  await staging.stage(next)
  assert.ok((await staging.staged())?.equals(next))
  assert.deepEqual(readdirSync(folder).sort(), ['root.key', 'root.key.next'])
})

test('a symbolic link to a key file stays a link, and the file it leads to is replaced', async (t) => {
  const { folder, path } = keyFile(t)
  const link = join(folder, 'link')
  symlinkSync('root.key', link)
  const source = fileSource(link)
  const next = newKey()
  await source.staging?.stage(next)
  await source.staging?.promote()
  assert.equal(readlinkSync(link), 'root.key')
  assert.ok(readKeyFile(path).equals(next))
})

test('a file that is a mount of its own cannot be replaced', { skip: process.platform !== 'linux' }, async () => {
  // Every container and every machine has at least one mount point; its path stands in for a mounted key file.
  const [, point = '/proc'] = /^\S+ \S+ \S+ \S+ (\/proc) /m.exec(readFileSync('/proc/self/mountinfo', 'utf8')) ?? []
  await assert.rejects(fileSource(point).staging?.stage(newKey()) as Promise<void>, NotReplaceable)
})

test('a key in a folder that cannot be written cannot be replaced', { skip: process.getuid?.() === 0 }, async (t) => {
  const { folder, staging } = keyFile(t)
  chmodSync(folder, 0o500)
  await assert.rejects(staging.stage(newKey()), NotReplaceable)
})

test('a key of the environment and one given in shares have no place for a next one', async () => {
  const key = newKey()
  const environment = environmentSource(new Secret(key.export().toString('base64')))
  assert.ok((await environment.read()).equals(key))
  assert.deepEqual([environment.staging, sharesSource(key).staging], [undefined, undefined])
})
