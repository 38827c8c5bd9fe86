import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { type TestContext, test } from 'node:test'
import { emptyRoot, foldNodes, leafHash } from '../../lib/merkle.ts'
import { formatCheckpoint, formatVkey, signNote } from '../../lib/signed-note.ts'
import { fixedClock, freshSqlite, testOnEach, testRootKey } from '../../testing/databases.ts'
import { openLog } from './log.ts'
import { auditMigrations } from './migrations.ts'
import { describeVerdict, verifyExport } from './verify.ts'

const verifier = join(import.meta.dirname, 'verify.ts')

/** An exported log of `size` short entries. */
async function exported(t: TestContext, size: number) {
  const database = await freshSqlite(t, auditMigrations)
  const log = await openLog({ database, rootKey: testRootKey, now: fixedClock().now, origin: 'atlas.example/log' })
  await Promise.all(Array.from({ length: size }, () => log.append({ code: 'server.started' })))
  const parent = mkdtempSync(join(tmpdir(), 'atlas-export-'))
  t.after(() => rmSync(parent, { recursive: true, force: true }))
  const folder = join(parent, 'log')
  await log.exportTo(folder)
  return { folder, vkey: log.vkey, fingerprint: log.fingerprint, log }
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => relative(folder, join(file.parentPath, file.name)))
    .sort()
}

function placeOf(folder: string, vkey?: string): string {
  const verdict = verifyExport(folder, vkey)
  return verdict.ok ? 'verified' : verdict.place
}

test('the verifier imports nothing but Node itself', () => {
  for (const file of ['verify.ts', 'verify-note.ts']) {
    const source = readFileSync(join(import.meta.dirname, file), 'utf8')
    const imports = [...source.matchAll(/^import .* from '([^']+)'$/gm)].map(([, name]) => name!)

    assert.doesNotMatch(source, /\bimport\(|\brequire\(|\bfetch\(/)
    assert.ok(imports.length >= 1)
    for (const name of imports) assert.match(name, /^(node:|\.\/verify-note\.ts$)/)
  }
})

testOnEach('logs of every shape verify as exported', auditMigrations, async (database, t) => {
  const log = await openLog({ database, rootKey: testRootKey, now: fixedClock().now })
  const parent = mkdtempSync(join(tmpdir(), 'atlas-export-'))
  t.after(() => rmSync(parent, { recursive: true, force: true }))
  for (const size of [0, 1, 2, 3, 255, 256, 257, 511, 512, 700]) {
    await Promise.all(Array.from({ length: size - log.size() }, () => log.append({ code: 'server.started' })))
    const folder = join(parent, String(size))
    await log.exportTo(folder)
    const verdict = verifyExport(folder, log.vkey)
    assert.ok(verdict.ok, JSON.stringify(verdict))
    assert.deepEqual([verdict.size, verdict.origin, verdict.keyFingerprint], [size, log.origin, log.fingerprint])
  }
  await assert.rejects(log.exportTo(join(parent, '700')), { type: 'conflict' })
})

test('any one changed byte of any file is found, and its file is named (AUD-2)', async (t) => {
  const { folder } = await exported(t, 13)
  const files = filesIn(folder)
  assert.deepEqual(files, ['checkpoint', 'tile/0/000.p/13', 'tile/entries/000.p/13', 'vkey'])

  for (const file of files) {
    const whole = readFileSync(join(folder, file))
    for (const at of whole.keys())
      for (const mask of [1, 0x20, 0x80]) {
        const bad = Buffer.from(whole)
        bad[at] = bad[at]! ^ mask
        writeFileSync(join(folder, file), bad)
        const place = placeOf(folder)
        assert.equal(place.split(' ')[0], file, `byte ${at} ^ ${mask} of ${file}: ${place}`)
      }
    writeFileSync(join(folder, file), whole)
  }
  assert.equal(placeOf(folder), 'verified')
})

test('a changed byte in any tile of a log of several levels is found, and its file is named', async (t) => {
  const { folder } = await exported(t, 600)
  for (const file of filesIn(folder)) {
    const whole = readFileSync(join(folder, file))
    const step = Math.max(1, Math.floor(whole.length / 40))
    for (let at = 0; at < whole.length; at += step) {
      const bad = Buffer.from(whole)
      bad[at] = bad[at]! ^ 4
      writeFileSync(join(folder, file), bad)
      assert.equal(placeOf(folder).split(' ')[0], file, `byte ${at} of ${file}`)
    }
    writeFileSync(join(folder, file), whole)
  }
})

test('an edited entry is named with its index', async (t) => {
  const { folder } = await exported(t, 300)
  const path = join(folder, 'tile/entries/001.p/44')
  const bundle = readFileSync(path)
  bundle[bundle.lastIndexOf('"seq":261') + 6] = 0x37
  writeFileSync(path, bundle)

  assert.deepEqual(verifyExport(folder), {
    ok: false,
    place: 'tile/entries/001.p/44 entry 5 (index 261)',
    reason: 'is not the entry that was logged',
  })
})

const damages: [string, (folder: string) => void, string][] = [
  ['a truncated bundle', (f) => truncateSync(join(f, 'tile/entries/001.p/44'), 1000), 'tile/entries/001.p/44'],
  ['an empty bundle', (f) => writeFileSync(join(f, 'tile/entries/000'), ''), 'tile/entries/000'],
  [
    'a bundle with bytes after it',
    (f) => writeFileSync(join(f, 'tile/entries/000'), 'x', { flag: 'a' }),
    'tile/entries/000',
  ],
  ['a truncated tile', (f) => truncateSync(join(f, 'tile/0/000'), 8160), 'tile/0/000'],
  [
    'a tile with bytes after it',
    (f) => writeFileSync(join(f, 'tile/0/001.p/44'), 'x', { flag: 'a' }),
    'tile/0/001.p/44',
  ],
  ['a deleted tile', (f) => rmSync(join(f, 'tile/1/000.p/1')), 'tile/1/000.p/1'],
  ['a deleted bundle', (f) => rmSync(join(f, 'tile/entries/000')), 'tile/entries/000'],
  ['a deleted checkpoint', (f) => rmSync(join(f, 'checkpoint')), 'checkpoint'],
  ['a deleted key', (f) => rmSync(join(f, 'vkey')), 'vkey'],
  [
    'an empty folder',
    (f) => {
      rmSync(f, { recursive: true })
      mkdirSync(f)
    },
    'vkey',
  ],
  ['no folder', (f) => rmSync(f, { recursive: true }), 'vkey'],
  ['a file too many', (f) => writeFileSync(join(f, 'tile/0/002.p/1'), Buffer.alloc(32)), 'tile/0/002.p/1'],
  ['a link too many', (f) => symlinkSync('/etc/hostname', join(f, 'tile/0/003')), 'tile/0/003'],
  ['a note in the folder', (f) => writeFileSync(join(f, 'README'), ''), 'README'],
  [
    'a partial tile of another size',
    (f) => cpSync(join(f, 'tile/0/001.p/44'), join(f, 'tile/0/001.p/43')),
    'tile/0/001.p/43',
  ],
  [
    'a link instead of a file',
    (f) => {
      renameSync(join(f, 'tile/0/000'), `${f}.moved`)
      symlinkSync(`${f}.moved`, join(f, 'tile/0/000'))
    },
    'tile/0/000',
  ],
  [
    'swapped tiles',
    (f) => {
      const [a, b] = [join(f, 'tile/entries/000'), join(f, 'tile/entries/001.p/44')]
      const bytes = readFileSync(a)
      writeFileSync(a, readFileSync(b))
      writeFileSync(b, bytes)
    },
    'tile/entries/000',
  ],
  ['a checkpoint with a line more', (f) => writeFileSync(join(f, 'checkpoint'), 'x\n', { flag: 'a' }), 'checkpoint'],
  ['a checkpoint without its signature', (f) => truncateSync(join(f, 'checkpoint'), 70), 'checkpoint'],
  ['a key with a line more', (f) => writeFileSync(join(f, 'vkey'), '\n', { flag: 'a' }), 'vkey'],
]

test('what was truncated, added, removed or swapped is named (AUD-2)', async (t) => {
  const { folder } = await exported(t, 300)
  for (const [what, damage, file] of damages) {
    const copy = `${folder}-copy`
    rmSync(copy, { recursive: true, force: true })
    rmSync(`${copy}.moved`, { force: true })
    cpSync(folder, copy, { recursive: true })
    mkdirSync(join(copy, 'tile/0/002.p'), { recursive: true })
    damage(copy)
    assert.equal(placeOf(copy).split(' ')[0], file, what)
  }
})

test('a log signed again with another key fails where the right key is given (AUD-2)', async (t) => {
  const { folder, vkey } = await exported(t, 3)
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const leaves = [0, 1, 2].map((seq) => Buffer.from(`{"seq":${seq}}`))
  const hashes = leaves.map(leafHash)
  const root = foldNodes([foldNodes(hashes.slice(0, 2)), hashes[2]!])
  const write = (path: string, bytes: string | Buffer) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), bytes)
  }
  write('tile/entries/000.p/3', Buffer.concat(leaves.flatMap((leaf) => [Buffer.from([0, leaf.length]), leaf])))
  write('tile/0/000.p/3', Buffer.concat(hashes))
  const origin = 'atlas.example/log'
  write('checkpoint', signNote(formatCheckpoint({ origin, size: 3, root }), origin, privateKey))

  assert.equal(placeOf(folder, vkey), 'checkpoint')
  assert.equal(placeOf(folder), 'checkpoint')
  write('vkey', `${formatVkey(origin, publicKey)}\n`)
  assert.equal(placeOf(folder, vkey), 'vkey')
  // Without the right key a forged log is a log: only the fingerprint tells.
  const verdict = verifyExport(folder)
  assert.ok(verdict.ok && verdict.keyFromFolder)
  assert.match(describeVerdict(verdict), /Compare its fingerprint/)
})

test('a note that is well signed but not a checkpoint of this log is refused', async (t) => {
  const { folder } = await exported(t, 0)
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const origin = 'atlas.example/log'
  writeFileSync(join(folder, 'vkey'), `${formatVkey(origin, publicKey)}\n`)
  const body = formatCheckpoint({ origin, size: 0, root: emptyRoot })
  const other = signNote('x\n', 'witness', privateKey).split('\n\n')[1]!
  const cases: [string, string | Buffer, string][] = [
    ['the empty log', signNote(body, origin, privateKey), 'verified'],
    ['with a signature of a witness', signNote(body, origin, privateKey) + other, 'verified'],
    [
      'with a name that is not UTF-8',
      Buffer.concat([
        Buffer.from(signNote(body, origin, privateKey)),
        Buffer.from(other.replace('witness', 'w\u0000')).map((byte) => (byte === 0 ? 0xff : byte)),
      ]),
      'checkpoint',
    ],
    ['another origin', signNote(body.replace('atlas', 'other'), origin, privateKey), 'checkpoint'],
    [
      'a text that ends without its line end',
      signNote(body, origin, privateKey).replace('\n\n—', 'x\n\n—'),
      'checkpoint',
    ],
    ['a size with a leading zero', signNote(body.replace('\n0\n', '\n00\n'), origin, privateKey), 'checkpoint'],
    ['a root of another size', signNote(body.replace(/47DE.*/, 'AAAA'), origin, privateKey), 'checkpoint'],
    ['a root that is not that of the tiles', signNote(body.replace('47DE', '57DE'), origin, privateKey), 'checkpoint'],
    ['a size without files', signNote(body.replace('\n0\n', '\n7\n'), origin, privateKey), 'tile/entries/000.p/7'],
    [
      'a size beyond all disks',
      signNote(body.replace('\n0\n', '\n999999999999999\n'), origin, privateKey),
      'tile/entries/000',
    ],
  ]
  for (const [what, note, place] of cases) {
    writeFileSync(join(folder, 'checkpoint'), note)
    assert.equal(placeOf(folder), place, what)
  }
  writeFileSync(join(folder, 'checkpoint'), signNote(`${body}opaque to us\nmore\n`, origin, privateKey))
  assert.equal(placeOf(folder), 'verified', 'extension lines are opaque and optional (tlog-checkpoint)')
})

test('an older checkpoint of the same log does not cover the newer files', async (t) => {
  const { folder, log } = await exported(t, 5)
  const before = readFileSync(join(folder, 'checkpoint'))
  await log.append({ code: 'server.stopped' })
  const later = `${folder}-later`
  await log.exportTo(later)
  writeFileSync(join(later, 'checkpoint'), before)

  assert.equal(placeOf(later, log.vkey), 'tile/entries/000.p/5')
})

test('the verifier runs alone: 0 verified, 1 not, 2 wrong usage', async (t) => {
  const { folder, vkey, fingerprint } = await exported(t, 300)
  const alone = join(dirname(folder), 'alone.ts')
  cpSync(verifier, alone)
  cpSync(join(import.meta.dirname, 'verify-note.ts'), join(dirname(folder), 'verify-note.ts'))
  writeFileSync(join(dirname(folder), 'key'), `${vkey}\n`)
  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [alone, ...args], { encoding: 'utf8' })
    return { status, out: stdout + stderr }
  }

  const trusted = run(folder, '--vkey', join(dirname(folder), 'key'))
  const untrusted = run(folder)
  writeFileSync(join(folder, 'tile/0/000'), Buffer.alloc(8192))
  const broken = run(folder)

  assert.deepEqual([trusted.status, untrusted.status, broken.status], [0, 0, 1])
  assert.match(trusted.out, /verified: atlas\.example\/log\n {2}300 entries/)
  assert.match(untrusted.out, new RegExp(`${fingerprint}\\n.*Compare its fingerprint`))
  assert.equal(broken.out, 'NOT VERIFIED: tile/0/000: is not the tile that tile/1/000.p/1 stands for\n')
  assert.deepEqual(
    [
      run().status,
      run(folder, folder).status,
      run(folder, '--nope').status,
      run(folder, '--vkey', '/nonexistent').status,
      run('--proof', join(folder, 'vkey')).status,
    ],
    [2, 2, 2, 2, 2],
  )
})

test('the empty log is the empty root', async (t) => {
  const { folder } = await exported(t, 0)
  const verdict = verifyExport(folder)

  assert.deepEqual(filesIn(folder), ['checkpoint', 'vkey'])
  assert.equal(verdict.ok && verdict.rootHash, emptyRoot.toString('base64'))
})
