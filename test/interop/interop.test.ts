import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { freshPostgresUrl } from '../../src/testing/databases.ts'
import { type Atlas, adminToken, type Cleanup, newFolder, startAtlas } from '../../src/testing/server.ts'
import {
  bundle,
  checkpointOf,
  consistency,
  filesOf,
  flip,
  noPython,
  noteKey,
  put,
  refused,
  signedNote,
  tilePath,
  unbundle,
  verify,
  writeLog,
} from './material.ts'

// What the product writes is verified by a program that was written from the specifications alone: verify.py beside this file.

const hourMs = 3_600_000

describe('a log on SQLite', { skip: noPython }, () => {
  const made = { folder: '', log: '', older: '', proof: '', vkey: '', witnesses: [] as string[] }
  // What a hook hands to `after` ends with the hook, so the end of the suite is kept here.
  const cleanups: Parameters<Cleanup['after']>[0][] = []
  const shared: Cleanup = { after: (clean) => cleanups.push(clean) }
  after(async () => {
    for (const clean of cleanups.reverse()) await clean()
  })
  const tile = (level: number | string, index: number) => tilePath(level, index, Math.min(256, size() - 256 * index))
  const size = () => Number(readFileSync(join(made.log, 'checkpoint'), 'utf8').split('\n')[1])

  // One log for all tests: made, its server started again with a witness that knows its key, and grown to more than 512 entries.
  before(
    async () => {
      made.folder = newFolder(shared)
      const data = newFolder(shared)
      const first = await startAtlas(shared, { folder: data })
      await exported(first, join(made.folder, 'first'))
      await first.stop()
      made.vkey = join(made.folder, 'first/vkey')
      const witness = await startWitness(shared, readFileSync(made.vkey, 'utf8').trim())
      made.witnesses = witness.keys
      const policy = join(made.folder, 'witness.policy')
      const lines = witness.keys.map((key, i) => `witness w${i} ${key} ${witness.url}`)
      writeFileSync(policy, `${lines.join('\n')}\ngroup both all w0 w1\nquorum both\n`)
      const server = await startAtlas(shared, { folder: data, env: { ATLAS_AUDIT_POLICY_FILE: policy } })
      await grow(server, 300)
      made.older = await exported(server, join(made.folder, 'older'))
      await grow(server, 300)
      made.proof = join(made.folder, 'event.tlog-proof')
      const proof = await server.cli(['audit', 'proof', '5', '-o', made.proof])
      assert.equal(proof.code, 0, proof.stderr)
      made.log = await exported(server, join(made.folder, 'log'))
      await server.stop()
    },
    { timeout: 120_000 },
  )

  test('verifies from its files alone: note, every tile, every entry, root (AUD-3, claims: C25)', async () => {
    assert.ok(size() > 512 && size() % 256 !== 0, `${size()} entries`)
    const { code, text } = await verify('log', made.log, '--vkey', made.vkey)
    assert.equal(code, 0, text)
    assert.match(text, new RegExp(`verified +${size()} entries and ${Math.ceil(size() / 256) + 1} tiles of 2 levels`))
    assert.doesNotMatch(text, /WARNING/)
    const own = await verify('log', made.log)
    assert.equal(own.code, 0, own.text)
    assert.match(own.text, /WARNING {4}the key came from the folder itself/)
    assert.deepEqual(
      filesOf(made.log).filter((path) => !path.startsWith('tile/')),
      ['checkpoint', 'vkey'],
    )
  })

  test('carries Ed25519 and ML-DSA-44 cosignatures that verify, with their time (AUD-3, claims: C25)', async () => {
    assert.equal(made.witnesses.length, 2)
    for (const material of [
      ['log', made.log],
      ['proof', made.proof],
    ]) {
      const { code, text } = await verify(...material, '--vkey', made.vkey, '--witness', ...made.witnesses)
      assert.equal(code, 0, text)
      for (const kind of ['Ed25519', 'ML-DSA-44']) {
        const time = new RegExp(
          `witness +witness.example.org/interop\\+[0-9a-f]{8} \\(${kind}\\) cosigned at .*\\((\\d+)\\)`,
        )
        const seconds = Number(time.exec(text)?.[1])
        assert.ok(Math.abs(Date.now() - 1000 * seconds) < hourMs, text)
      }
      assert.doesNotMatch(text, /ignored/)
    }
  })

  test('begins with the log of an older checkpoint, and not with another (AUD-3, claims: C25)', async (t) => {
    const older = join(made.older, 'checkpoint')
    const { code, text } = await verify('log', made.log, '--vkey', made.vkey, '--older', older)
    assert.equal(code, 0, text)
    assert.match(text, new RegExp(`older +begins with the log of ${sizeOf(readFileSync(older))} entries`))
    refused(
      await verify('log', made.older, '--older', join(made.log, 'checkpoint')),
      /checkpoint line 2: is a smaller tree/,
    )
    // The same key signs another history: both logs verify, and only the older checkpoint shows it.
    const folder = newFolder(t)
    const key = noteKey('log.example.org/made-here')
    writeLog(join(folder, 'kept'), 300, { key })
    writeLog(join(folder, 'shown'), 600, { key, forged: 200 })
    const kept = join(folder, 'kept/checkpoint')
    for (const log of ['kept', 'shown']) assert.equal((await verify('log', join(folder, log))).code, 0)
    refused(await verify('log', join(folder, 'shown'), '--older', kept), /checkpoint: its log does not begin with/)
  })

  test('gives an event with a proof that verifies alone (AUD-8, claims: C25)', async () => {
    const { code, text } = await verify('proof', made.proof, '--vkey', made.vkey)
    assert.equal(code, 0, text)
    assert.match(text, /verified +entry 5 of /)
    const entry = String(unbundle(readFileSync(join(made.log, tile('entries', 0))))[5])
    assert.equal(/entry +(\{.*\})/.exec(text)?.[1], entry)
    assert.match(entry, /"seq":5\b/)
  })

  test('shows a flipped byte in any of its files (AUD-2, AUD-3, claims: C25)', async (t) => {
    for (const path of filesOf(made.log)) {
      const length = readFileSync(join(made.log, path)).length
      for (const at of [0, Math.floor(length / 3), length - 2]) {
        const copy = copyOf(t, made.log)
        flip(copy, path, at)
        const key = path === 'vkey' ? [] : ['--vkey', made.vkey]
        const result = await verify('log', copy, ...key, '--witness', ...made.witnesses)
        refused(result, new RegExp(`FAILED: ${path.replaceAll('.', '\\.')}\\b`), `${path} byte ${at}`)
      }
    }
  })

  const attacks: Readonly<Record<string, [(copy: string) => void, () => RegExp]>> = {
    'the last entry cut off': [
      (copy) => {
        const path = tile('entries', Math.floor(size() / 256))
        put(copy, path, bundle(unbundle(readFileSync(join(copy, path))).slice(0, -1)))
      },
      () => /tile\/entries\/00\d\.p\/\d+: has \d+ entries, not \d+/,
    ],
    'the last entry cut off, and its hash, with the names that a shorter log has': [
      (copy) => {
        const last = Math.floor(size() / 256)
        const entries = unbundle(readFileSync(join(copy, tile('entries', last))))
        const hashes = readFileSync(join(copy, tile(0, last)))
        const path = (level: number | string) => join(copy, tilePath(level, last, entries.length - 1))
        renameSync(join(copy, tile('entries', last)), path('entries'))
        renameSync(join(copy, tile(0, last)), path(0))
        writeFileSync(path('entries'), bundle(entries.slice(0, -1)))
        writeFileSync(path(0), hashes.subarray(0, -32))
      },
      () => /tile\/0\/00\d\.p\/\d+: is not there/,
    ],
    'a smaller size in the checkpoint': [
      (copy) => put(copy, 'checkpoint', readFileSync(join(copy, 'checkpoint'), 'utf8').replace(/\n\d+\n/, '\n256\n')),
      () => /checkpoint line 5: the Ed25519 signature of .* does not verify/,
    ],
    'two tiles swapped': [
      (copy) => swap(copy, 'tile/0/000', 'tile/0/001'),
      () => /tile\/0\/000: does not give tile\/1\/000/,
    ],
    'two bundles swapped': [
      (copy) => swap(copy, 'tile/entries/000', 'tile/entries/001'),
      () => /tile\/entries\/000 entry 0 \(index 0\): is not the entry that was logged/,
    ],
    'two entries swapped': [
      (copy) => {
        const entries = unbundle(readFileSync(join(copy, 'tile/entries/001')))
        put(
          copy,
          'tile/entries/001',
          bundle([...entries.slice(0, 10), entries[11], entries[10], ...entries.slice(12)] as Buffer[]),
        )
      },
      () => /tile\/entries\/001 entry 10 \(index 266\): is not the entry that was logged/,
    ],
    'an entry and its hash changed together': [
      (copy) => {
        const entries = unbundle(readFileSync(join(copy, 'tile/entries/001')))
        entries[200] = Buffer.from('{}')
        put(copy, 'tile/entries/001', bundle(entries))
        const hashes = readFileSync(join(copy, 'tile/0/001'))
        put(copy, 'tile/0/001', Buffer.concat([hashes.subarray(0, 6400), Buffer.alloc(32), hashes.subarray(6432)]))
      },
      () => /tile\/0\/001: does not give tile\/1\/000\.p\/\d+ hash 1/,
    ],
    'a bundle missing': [(copy) => rmSync(join(copy, 'tile/entries/001')), () => /tile\/entries\/001: is not there/],
    'the signature of an older checkpoint': [
      (copy) => put(copy, 'checkpoint', withLine(copy, 0, signatureLines(made.older)[0])),
      () => /checkpoint line 5: the Ed25519 signature of .* does not verify/,
    ],
    'a signature by another key of the same name': [
      (copy) => {
        const [text] = readFileSync(join(copy, 'checkpoint'), 'utf8').split('\n\n')
        put(copy, 'checkpoint', signedNote(`${text}\n`, noteKey(String(text?.split('\n')[0]))))
      },
      () => /checkpoint: has no signature of /,
    ],
    'an older checkpoint': [
      (copy) => cpSync(join(made.older, 'checkpoint'), join(copy, 'checkpoint')),
      () => /tile\/0\/.*: is not (there|a part of a log of size \d+)/,
    ],
    'an Ed25519 cosignature of another size': [
      (copy) => put(copy, 'checkpoint', withLine(copy, 1, signatureLines(made.older)[1])),
      () => /checkpoint line 6: the Ed25519 signature of witness\.example\.org\/interop\+.* does not verify/,
    ],
    'an ML-DSA-44 cosignature of another size': [
      (copy) => put(copy, 'checkpoint', withLine(copy, 2, signatureLines(made.older)[2])),
      () => /checkpoint line 7: the ML-DSA-44 signature of witness\.example\.org\/interop\+.* does not verify/,
    ],
    'a cosignature missing': [
      (copy) => put(copy, 'checkpoint', withLine(copy, 2, undefined)),
      () => /checkpoint: has no cosignature of witness\.example\.org\/interop/,
    ],
  }
  for (const [what, [attack, place]] of Object.entries(attacks))
    test(`shows ${what} (AUD-2, AUD-3, claims: C25)`, async (t) => {
      const copy = copyOf(t, made.log)
      attack(copy)
      refused(await verify('log', copy, '--vkey', made.vkey, '--witness', ...made.witnesses), place())
    })

  test('is not taken for the log of another key (AUD-3, claims: C25)', async (t) => {
    const folder = newFolder(t)
    const name = String(readFileSync(made.vkey, 'utf8').split('+')[0])
    put(folder, 'vkey', noteKey(name).vkey)
    refused(await verify('log', made.log, '--vkey', join(folder, 'vkey')), /checkpoint: has no signature of /)
    refused(await verify('proof', made.proof, '--vkey', join(folder, 'vkey')), /checkpoint: has no signature of /)
  })

  test('shows each change of a proof (AUD-8, claims: C25)', async (t) => {
    const good = readFileSync(made.proof, 'utf8')
    const hashes = good.split('\n\n')[0]?.split('\n').slice(3) ?? []
    const [one, two] = hashes as [string, string]
    const changes: Readonly<Record<string, [string, RegExp]>> = {
      'another entry': [
        good.replace(/extra \S+/, `extra ${Buffer.from('{}').toString('base64')}`),
        /do not give the root/,
      ],
      'no entry': [good.replace(/extra \S+\n/, ''), /has no extra line/],
      'another index': [good.replace('index 5', 'index 4'), /do not give the root/],
      'an index above the size': [good.replace('index 5', 'index 99999'), /is not below the tree size/],
      'an index with a zero': [good.replace('index 5', 'index 05'), /line 3: is not the index/],
      'a hash missing': [good.replace(`${one}\n`, ''), /wrong number/],
      'a hash more': [good.replace(one, `${one}\n${one}`), /wrong number/],
      'two hashes swapped': [good.replace(`${one}\n${two}`, `${two}\n${one}`), /do not give the root/],
      'another version': [good.replace('@v1', '@v2'), /line 1/],
      'the checkpoint of another size': [
        `${good.slice(0, good.indexOf('\n\n'))}\n\n${readFileSync(join(made.older, 'checkpoint'), 'utf8')}`,
        /do not give the root|wrong number/,
      ],
      'a larger size': [good.replace(/\n(\d+)\n(?=\S+\n\n—)/, '\n9999\n'), /signature of .* does not verify/],
    }
    const folder = newFolder(t)
    for (const [what, [text, place]] of Object.entries(changes)) {
      assert.notEqual(text, good, what)
      put(folder, 'p.tlog-proof', text)
      const witnesses = what === 'the checkpoint of another size' ? [] : ['--witness', ...made.witnesses]
      refused(await verify('proof', join(folder, 'p.tlog-proof'), '--vkey', made.vkey, ...witnesses), place, what)
    }
  })
})

test('its witness cosigns a log that no product wrote, as tlog-witness says, and the cosignatures verify (AUD-3, claims: C25)', {
  skip: noPython,
}, async (t) => {
  const key = noteKey('log.example.org/made-here')
  const { url, keys } = await startWitness(t, key.vkey)
  const ask = async (older: number, proof: readonly Buffer[], note: string) => {
    const lines = [`old ${older}`, ...proof.map((hash) => hash.toString('base64')), '', note]
    const reply = await fetch(`${url}/add-checkpoint`, { method: 'POST', body: lines.join('\n') })
    return { status: reply.status, type: reply.headers.get('content-type'), text: await reply.text() }
  }
  const cosigned = async (size: number, older: number, extension?: string) => {
    const note = checkpointOf(size, extension === undefined ? { key } : { key, extension })
    const { status, text } = await ask(older, consistency(older, size), note)
    assert.equal(status, 200, `${older} to ${size}: ${text}`)
    const folder = newFolder(t)
    writeLog(folder, size, { key })
    put(folder, 'checkpoint', note + text)
    const { code, text: said } = await verify('log', folder, '--witness', ...keys)
    assert.equal(code, 0, said)
    assert.equal(said.match(/cosigned at/g)?.length, 2)
  }
  await cosigned(5, 0)
  await cosigned(300, 5)
  await cosigned(300, 300)
  await cosigned(512, 300)
  const larger = checkpointOf(700, { key })
  const conflict = await ask(300, consistency(300, 700), larger)
  assert.deepEqual(conflict, { status: 409, type: 'text/x.tlog.size', text: '512\n' })
  const proof = consistency(512, 700)
  const another = noteKey('log.example.org/another')
  const expected: Readonly<Record<string, [number, ...Parameters<typeof ask>]>> = {
    'an unknown origin': [404, 0, [], checkpointOf(5, { key: another })],
    'another key of that name': [403, 512, proof, checkpointOf(700, { key: noteKey(key.name) })],
    'an old size above the new': [400, 512, [], checkpointOf(300, { key })],
    'no proof': [422, 512, [], larger],
    'a hash too many': [422, 512, [...proof, Buffer.alloc(32)], larger],
    'another history': [422, 512, proof, checkpointOf(700, { key, forged: 9 })],
    'a proof between equal sizes': [422, 512, proof, checkpointOf(512, { key })],
    'another root of the same size': [422, 512, [], checkpointOf(512, { key, forged: 9 })],
  }
  for (const [what, [status, ...request]] of Object.entries(expected))
    assert.equal((await ask(...request)).status, status, what)
  await cosigned(700, 512)
  await cosigned(700, 700, 'an extension line')
})

test('is served over HTTP as tlog-tiles says, also at a size without partial bundles (AUD-3, claims: C25)', {
  skip: noPython,
}, async (t) => {
  const server = await startAtlas(t)
  const { read, download } = reader(server)
  await grow(server, 110)
  const folder = newFolder(t)
  const some = await download(join(folder, 'some'))
  assert.ok(some % 256 !== 0, `${some} entries`)
  const even = await growToWhole(server, async () => sizeOf((await read('checkpoint')).body))
  assert.equal(await download(join(folder, 'even')), even)
  for (const log of ['some', 'even']) {
    const { code, text } = await verify('log', join(folder, log))
    assert.equal(code, 0, text)
  }
  // "Empty tiles MUST NOT be served"; paths have one form.
  const next = tilePath(0, even / 256, 256)
  for (const path of [
    `${next}.p/0`,
    next,
    'tile/entries/000.p/0',
    'tile/0/000.p/256',
    'tile/0/000.p/01',
    'tile/0/0',
    'tile/0/x000/000',
    'tile/00/000',
    'tile/2/000.p/1',
    'tile/64/000',
  ])
    assert.ok((await read(path)).status >= 400, path)
  const checkpoint = await read('checkpoint')
  assert.equal(checkpoint.type, 'text/plain; charset=utf-8')
  const seconds = Number(/max-age=(\d+)/.exec(checkpoint.cache)?.[1] ?? 0)
  assert.ok(seconds <= 10, checkpoint.cache)
  // "Logs MUST serve partial tiles corresponding to tree sizes for which a checkpoint was produced", or the full one in their place.
  for (const path of ['tile/0/000', 'tile/entries/000', 'tile/1/000.p/1']) {
    const { type, cache, status } = await read(path)
    assert.deepEqual([status, type], [200, 'application/octet-stream'], path)
    assert.match(cache, /immutable/)
  }
})

test('a log on PostgreSQL verifies too, and an event of it (AUD-3, AUD-8, claims: C25)', {
  skip: noPython,
}, async (t) => {
  const server = await startAtlas(t, { env: { ATLAS_DATABASE_URL: await freshPostgresUrl(t) } })
  await grow(server, 300)
  const folder = newFolder(t)
  const proof = join(folder, 'event.tlog-proof')
  assert.equal((await server.cli(['audit', 'proof', '257', '-o', proof])).code, 0)
  const log = await exported(server, join(folder, 'log'))
  const { code, text } = await verify('log', log)
  assert.equal(code, 0, text)
  assert.match(text, /tiles of 2 levels/)
  const alone = await verify('proof', proof, '--vkey', join(log, 'vkey'))
  assert.equal(alone.code, 0, alone.text)
  assert.match(alone.text, /verified +entry 257 of /)
})

function copyOf(t: TestContext, log: string): string {
  const copy = newFolder(t)
  cpSync(log, copy, { recursive: true })
  return copy
}

function swap(folder: string, one: string, two: string): void {
  renameSync(join(folder, one), join(folder, 'kept'))
  renameSync(join(folder, two), join(folder, one))
  renameSync(join(folder, 'kept'), join(folder, two))
}

/** The signature lines of an exported checkpoint: the log's, and the witness's two. */
function signatureLines(folder: string): string[] {
  const note = readFileSync(join(folder, 'checkpoint'), 'utf8')
  return note.slice(note.lastIndexOf('\n\n') + 2, -1).split('\n')
}

function withLine(folder: string, at: number, line: string | undefined): string {
  const lines: (string | undefined)[] = signatureLines(folder)
  lines[at] = line
  const [text] = readFileSync(join(folder, 'checkpoint'), 'utf8').split('\n\n')
  return `${text}\n\n${lines.filter((each) => each !== undefined).join('\n')}\n`
}

async function grow(server: Atlas, events: number): Promise<void> {
  for (let done = 0; done < events; done += 10)
    await Promise.all(Array.from({ length: Math.min(10, events - done) }, () => server.api('GET', '/me')))
}

async function exported(server: Atlas, folder: string): Promise<string> {
  const { code, stderr } = await server.cli(['audit', 'export', folder])
  assert.equal(code, 0, stderr)
  return folder
}

const sizeOf = (note: Buffer) => Number(String(note).split('\n')[1])

/** Reads the log of a server as a client of tlog-tiles does: the checkpoint first, then what a tree of its size has. */
function reader(server: Atlas) {
  const read = async (path: string) => {
    const reply = await fetch(`${server.url}/audit/${path}`, { headers: { authorization: `Bearer ${adminToken}` } })
    const body = Buffer.from(await reply.arrayBuffer())
    const header = (name: string) => reply.headers.get(name) ?? ''
    return { status: reply.status, type: header('content-type'), cache: header('cache-control'), body }
  }
  const download = async (folder: string) => {
    const checkpoint = (await read('checkpoint')).body
    const size = sizeOf(checkpoint)
    put(folder, 'checkpoint', checkpoint)
    const paths = ['vkey']
    for (const level of ['entries', 0, 1]) {
      const count = level === 1 ? Math.floor(size / 256) : size
      for (let at = 0; at < count; at += 256) paths.push(tilePath(level, at / 256, Math.min(256, count - at)))
    }
    for (const path of paths) {
      const { status, body } = await read(path)
      assert.equal(status, 200, path)
      put(folder, path, body)
    }
    return size
  }
  return { read, download }
}

/** Makes events until the checkpoint's size is a multiple of 256: `/me` is an even number of them, a refused token one. */
async function growToWhole(server: Atlas, size: () => Promise<number>): Promise<number> {
  const deadline = Date.now() + 120_000
  while (Date.now() < deadline) {
    const now = await size()
    const missing = (256 - (now % 256)) % 256
    if (missing === 0) return now
    if (missing % 2 === 1) await server.ask('GET', '/api/v1/me', { token: 'no-such-token' })
    else await grow(server, missing > 40 ? 10 * Math.floor(missing / 40) : 1)
    await setTimeout(1100)
  }
  throw new Error('The log never had a multiple of 256 entries')
}

/** `atlas witness` for this one log, until the tests are over. */
async function startWitness(shared: Cleanup, vkey: string): Promise<{ url: string; keys: string[] }> {
  const folder = newFolder(shared)
  mkdirSync(join(folder, 'state'), { mode: 0o700 })
  writeFileSync(join(folder, 'logs.policy'), `log ${vkey}\nquorum none\n`)
  const options = ['--name', 'witness.example.org/interop', '--folder', 'state', '--policy', 'logs.policy']
  const program = join(import.meta.dirname, '../../bin/atlas.js')
  const child: ChildProcess = spawn(process.execPath, [program, 'witness', ...options, '--listen', '127.0.0.1:0'], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  shared.after(async () => {
    child.kill()
    await ended
  })
  let output = ''
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`The witness ended with ${code}: ${output}`)))
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text
      const url = /ready at (http:\S+)/.exec(output)?.[1]
      const keys = output
        .split('\n')
        .slice(0, -1)
        .filter((line) => /^\S+\+[0-9a-f]{8}\+\S+$/.test(line))
      if (url !== undefined && keys.length === 2) resolve({ url, keys })
    })
  })
}
