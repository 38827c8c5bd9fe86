import assert from 'node:assert/strict'
import { test } from 'node:test'
import { foldNodes, leafHash } from '../../lib/merkle.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import { openLog } from './log.ts'
import { auditMigrations } from './migrations.ts'
import { parseTilePath, tilePath, tilesOf } from './tiles.ts'

const paths: [string, ReturnType<typeof parseTilePath>][] = [
  ['tile/0/000', { level: 0, index: 0, width: 256 }],
  ['tile/0/000.p/1', { level: 0, index: 0, width: 1 }],
  ['tile/63/255.p/255', { level: 63, index: 255, width: 255 }],
  ['tile/1/x001/234', { level: 1, index: 1234, width: 256 }],
  ['tile/entries/x001/x234/067.p/8', { level: 'entries', index: 1_234_067, width: 8 }],
]

const notPaths = [
  '',
  'tile',
  'tile/0',
  'tile/0/0',
  'tile/0/00',
  'tile/0/0000',
  'tile/00/000',
  'tile/01/000',
  'tile/64/000',
  'tile/-1/000',
  'tile/0/000.p/0',
  'tile/0/000.p/00',
  'tile/0/000.p/01',
  'tile/0/000.p/256',
  'tile/0/000.p/',
  'tile/0/000.p',
  'tile/0/000/',
  'tile/0/x000/001',
  'tile/0/x001',
  'tile/0/x001/x002',
  'tile/0/001/002',
  'tile/0/x999/x999/x999/x999/x999/999',
  'tile/entries/../0/000',
  'tile/0/../../etc/passwd',
  'tile/0/%30%30%30',
  'tile/data/000',
  'tile/Entries/000',
  '/tile/0/000',
  'tile//0/000',
  'tile/0/000\n',
  'tile/0/000?x',
  'tile/0/٠٠٠',
  'checkpoint',
]

test('a tile has one path, and nothing else is a path', () => {
  for (const [path, tile] of paths) {
    assert.deepEqual(parseTilePath(path), tile)
    assert.equal(tilePath(tile!), path)
  }
  for (const path of notPaths) assert.equal(parseTilePath(path), undefined, JSON.stringify(path))
})

test('a log has the tiles that the specification says for its size', () => {
  const count = (size: number) => {
    const counts = new Map<string, number>()
    for (const { level, width } of tilesOf(size)) {
      const kind = `${level} ${width === 256 ? 'full' : width}`
      counts.set(kind, (counts.get(kind) ?? 0) + 1)
    }
    return Object.fromEntries(counts)
  }
  assert.deepEqual(count(0), {})
  assert.deepEqual(count(1), { 'entries 1': 1, '0 1': 1 })
  assert.deepEqual(count(256), { 'entries full': 1, '0 full': 1, '1 1': 1 })
  // The example of tlog-tiles.
  assert.deepEqual(count(70_000), {
    'entries full': 273,
    'entries 112': 1,
    '0 full': 273,
    '0 112': 1,
    '1 full': 1,
    '1 17': 1,
    '2 1': 1,
  })
})

testOnEach('the log answers exactly the tiles that it has', auditMigrations, async (database) => {
  const log = await openLog({ database, rootKey: testRootKey, now: fixedClock().now })
  await Promise.all(Array.from({ length: 600 }, () => log.append({ code: 'server.started' })))
  const lengthOf = async (path: string) => (await log.tile(path))?.length

  const cases: [string, number | undefined][] = [
    ['tile/0/000', 8192],
    ['tile/0/001', 8192],
    ['tile/0/002', undefined],
    ['tile/0/002.p/88', 88 * 32],
    ['tile/0/002.p/1', 32],
    ['tile/0/002.p/89', undefined],
    ['tile/0/000.p/7', 7 * 32],
    ['tile/0/003.p/1', undefined],
    ['tile/1/000.p/2', 64],
    ['tile/1/000.p/3', undefined],
    ['tile/1/000', undefined],
    ['tile/2/000.p/1', undefined],
    ['tile/63/000.p/1', undefined],
    ['tile/entries/002', undefined],
    ['tile/entries/003.p/1', undefined],
    ['tile/0/x999/999', undefined],
  ]
  for (const [path, length] of cases) assert.equal(await lengthOf(path), length, path)
  for (const path of notPaths) assert.equal(await log.tile(path), undefined, path)
})

testOnEach('bundles, level 0 and level 1 belong together', auditMigrations, async (database) => {
  const log = await openLog({ database, rootKey: testRootKey, now: fixedClock().now })
  await Promise.all(Array.from({ length: 300 }, () => log.append({ code: 'server.started' })))
  const bundle = (await log.tile('tile/entries/000'))!
  const hashes = (await log.tile('tile/0/000'))!
  const leaves: Buffer[] = []
  for (let at = 0; at < bundle.length; at += 2 + bundle.readUInt16BE(at))
    leaves.push(leafHash(bundle.subarray(at + 2, at + 2 + bundle.readUInt16BE(at))))

  assert.deepEqual(Buffer.concat(leaves), hashes)
  let row = leaves
  while (row.length > 1) row = Array.from({ length: row.length / 2 }, (_, i) => foldNodes(row.slice(2 * i, 2 * i + 2)))
  assert.deepEqual(row[0], await log.tile('tile/1/000.p/1'))
})
