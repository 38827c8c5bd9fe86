import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { after, test } from 'node:test'
import { verifyExport, verifyProof } from '../../src/features/audit/verify.ts'
import { newFolder, runAtlas, startAtlas } from '../../src/testing/server.ts'

// What an auditor does: takes the log away, and proves it without the server that wrote it.

const verifier = join(import.meta.dirname, '../../src/features/audit/verify.ts')

// One server and one log for all of the file: two full tiles and a partial one.
const atlas = await startAtlas({ after })
for (let i = 0; i < 12; i++) await Promise.all(Array.from({ length: 25 }, () => atlas.api('GET', '/me')))
const folder = join(newFolder({ after }), 'evidence')
const exported = await atlas.cli(['audit', 'export', folder])

test('an exported log verifies offline: with the CLI, and with the verifier alone (claims: A1)', async (t) => {
  const copy = join(newFolder(t), 'verify.ts')
  cpSync(verifier, copy)
  cpSync(join(dirname(verifier), 'verify-note.ts'), join(dirname(copy), 'verify-note.ts'))

  const cli = await runAtlas(['audit', 'verify', '--offline', folder, '--json'], { folder: newFolder(t) })
  const alone = await runNode([copy, folder])

  const { ok, size } = JSON.parse(cli.stdout)
  assert.deepEqual([exported.code, cli.code, ok], [0, 0, true], exported.stderr + cli.stderr)
  assert.ok(size > 512, 'the log has full tiles on two levels')
  assert.equal(alone.code, 0, alone.text)
  assert.match(alone.text, new RegExp(`verified: .*\\n  ${size} entries`))
  for (const file of files(folder))
    assert.equal(statSync(join(folder, file)).mode & 0o077, 0, `${file} is for its owner`)
})

test('after any one byte of any file is changed the offline verifier exits 1 and names the file', () => {
  const all = files(folder)
  assert.ok(all.length >= 9, all.join(' '))

  for (const file of all) {
    const path = join(folder, file)
    const original = readFileSync(path)
    for (const at of sample(original.length)) {
      for (const flip of [0x01, 0x80]) {
        const changed = Buffer.from(original)
        changed[at] = (changed[at] as number) ^ flip
        writeFileSync(path, changed)
        const verdict = verifyExport(folder)
        assert.ok(!verdict.ok, `${file} byte ${at}`)
        assert.ok(namesIt(verdict.place, file), `${file} byte ${at}: names ${verdict.place}`)
      }
    }
    writeFileSync(path, original)
  }
  assert.ok(verifyExport(folder).ok, 'each change was taken back')
})

test('the command line says so too: changed, cut, missing and added files end with 1 and the place', async (t) => {
  const all = files(folder)
  const entries = all.filter((file) => file.startsWith('tile/entries/'))
  const damages: [string, (path: string) => void][] = [
    ...[entries[0], entries.at(-1), 'tile/0/000', 'checkpoint'].map((file): [string, (path: string) => void] => [
      file as string,
      (path) => {
        const bytes = readFileSync(path)
        bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 4
        writeFileSync(path, bytes)
      },
    ]),
    ['tile/0/001', (path) => writeFileSync(path, readFileSync(path).subarray(0, -32))],
    [entries[1] as string, (path) => unlinkSync(path)],
    ['tile/0/003', (path) => writeFileSync(path, Buffer.alloc(32))],
  ]

  for (const [file, damage] of damages) {
    const copy = join(newFolder(t), 'evidence')
    cpSync(folder, copy, { recursive: true })
    damage(join(copy, file))
    const [cli, alone] = await Promise.all([
      runAtlas(['audit', 'verify', '--offline', copy], { folder: newFolder(t) }),
      runNode([verifier, copy]),
    ])
    assert.deepEqual([cli.code, alone.code], [1, 1], file)
    assert.ok(cli.stderr.includes(file), `${file}: ${cli.stderr}`)
    assert.ok(alone.text.startsWith(`NOT VERIFIED: ${file}`), alone.text)
  }
})

test('a whole log made by somebody else does not verify under the key that the reader trusts', async (t) => {
  const key = join(folder, 'vkey')
  const other = join(newFolder(t), 'evidence')
  const theirs = await startAtlas(t)
  assert.equal((await theirs.cli(['audit', 'export', other])).code, 0)

  const right = await runAtlas(['audit', 'verify', '--offline', folder, '--vkey', key], { folder: newFolder(t) })
  const forged = await runAtlas(['audit', 'verify', '--offline', other, '--vkey', key], { folder: newFolder(t) })

  assert.deepEqual([right.code, forged.code], [0, 1])
  assert.match(forged.stderr, /vkey/)
})

test('one event leaves as a .tlog-proof that verifies with the two files and the key alone, without a network (AUD-8)', async (t) => {
  const alone = newFolder(t)
  for (const file of ['verify.ts', 'verify-note.ts']) cpSync(join(dirname(verifier), file), join(alone, file))
  const proof = join(alone, 'event.tlog-proof')
  const key = join(folder, 'vkey')

  const made = await atlas.cli(['audit', 'proof', '300', '-o', proof])
  const shown = await atlas.cli(['audit', 'proof', '300'])
  const cli = await runAtlas(['audit', 'verify', '--proof', proof, '--vkey', key], { folder: newFolder(t) })
  const plain = await runNode([join(alone, 'verify.ts'), '--proof', proof, '--vkey', key], { cut: true })
  const whole = await runNode([join(alone, 'verify.ts'), folder, '--vkey', key], { cut: true })
  writeFileSync(proof, readFileSync(proof, 'utf8').replace('index 300', 'index 301'))
  const moved = await runAtlas(['audit', 'verify', '--proof', proof, '--vkey', key], { folder: newFolder(t) })

  assert.deepEqual(
    [made.code, cli.code, plain.code, whole.code, moved.code],
    [0, 0, 0, 0, 1],
    cli.stderr + plain.text + whole.text,
  )
  t.diagnostic(
    cutOff ? 'verified in a namespace that has no network' : 'no namespace without a network can be made here',
  )
  assert.match(shown.stdout, /^c2sp\.org\/tlog-proof@v1\nextra \S+\nindex 300\n/)
  assert.match(plain.text, /verified: entry 300 of [\s\S]*"seq":300/)
  assert.match(moved.stderr, /not at this index/)
})

test('a server with `atlas witness` beside it exports what verifies under a policy, and a second witness on the folder is refused', async (t) => {
  const home = newFolder(t)
  const first = await startAtlas(t, { folder: home })
  const vkey = (await first.ask<string>('GET', '/audit/vkey')).text.trim()
  await first.stop()
  writeFileSync(join(home, 'logs.policy'), `log ${vkey}\nquorum none\n`)
  const args = [
    'witness',
    '--name',
    'w.example/1',
    '--policy',
    'logs.policy',
    '--folder',
    'w',
    '--listen',
    '127.0.0.1:0',
  ]
  let witness: { stdout: string; stop: () => void } | undefined
  const ready = new Promise<string>((resolve) => {
    void runAtlas(args, {
      folder: home,
      seen: (child) => {
        t.after(() => void child.kill('SIGKILL'))
        witness = { stdout: '', stop: () => void child.kill('SIGTERM') }
        child.stdout?.on('data', (text: string) => {
          if (witness) witness.stdout += text
          if (/\n\S+\+B\S+\n\S+\+B\S+\n$/.test(witness?.stdout ?? '')) resolve(witness?.stdout ?? '')
        })
      },
    })
  })
  const [, url = '', ed = '', pq = ''] = /ready at (\S+)\n(\S+)\n(\S+)\n/.exec(await ready) ?? []
  const policy = `witness ed ${ed} ${url}\nwitness pq ${pq} ${url}\ngroup both all ed pq\nquorum both\n`
  writeFileSync(join(home, 'policy'), policy)
  const second = await runAtlas(args, { folder: home })

  const server = await startAtlas(t, { folder: home, env: { ATLAS_AUDIT_POLICY: policy } })
  const out = join(home, 'evidence')
  const made = await server.cli(['audit', 'export', out])
  const offline = ['audit', 'verify', '--offline', out, '--policy', join(home, 'policy'), '--json']
  const verdict = await runAtlas(offline, { folder: newFolder(t) })
  const alone = await runAtlas(['audit', 'verify', '--offline', folder, '--policy', join(home, 'policy')], {
    folder: newFolder(t),
  })

  assert.deepEqual([second.code, made.code, verdict.code, alone.code], [2, 0, 0, 1], made.stderr + verdict.stderr)
  assert.match(second.stderr, /Another witness already uses this folder/)
  assert.deepEqual(JSON.parse(verdict.stdout).witnesses, ['ed', 'pq'])
  assert.match(alone.stderr, /lacks cosignatures/)
  witness?.stop()
})

test('a search leaves as JSON Lines whose every event proves itself, and as a table; a tail shows what comes', async (t) => {
  const home = newFolder(t)
  const key = join(folder, 'vkey')
  const { id } = await atlas.api<{ id: string }>('GET', '/me')

  const lines = await atlas.cli([
    'audit',
    'events',
    '--action',
    'identity.principal.get',
    '--outcome',
    'ok',
    '-o',
    join(home, 'found.jsonl'),
    '--proofs',
  ])
  const table = await atlas.cli([
    'audit',
    'events',
    '--principal',
    id,
    '-o',
    join(home, 'found.csv'),
    '--format',
    'csv',
  ])
  const both = await atlas.cli(['audit', 'events', '-o', join(home, 'x.csv'), '--format', 'csv', '--proofs'])
  const over = await atlas.cli(['audit', 'events', '-o', join(home, 'found.csv')])
  const touched = JSON.parse((await atlas.cli(['audit', 'touched', id, '--json'])).stdout) as {
    items: { action: string; succeeded: number }[]
  }
  let seen = ''
  const only = ['--code', 'action.succeeded', '--action', 'identity.principal.get']
  const tail = atlas.cliUntil(['audit', 'tail', '-f', ...only], (text) => {
    seen = text
    // Ten to begin with, and the one that comes.
    return text.split('\n').length > 11
  })
  await new Promise((resolve) => setTimeout(resolve, 1500))
  await atlas.api('GET', '/me')
  await tail

  assert.deepEqual([lines.code, table.code, both.code, over.code], [0, 0, 2, 2], lines.stderr + table.stderr)
  const events = readFileSync(join(home, 'found.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.ok(events.length >= 300, `${events.length} events on two pages`)
  for (const event of [events[0], events[250], events.at(-1)]) {
    const verdict = verifyProof(Buffer.from(event.proof), readFileSync(key, 'utf8').trim())
    assert.ok(verdict.ok && verdict.index === event.index, JSON.stringify(verdict))
  }
  const [head = '', first = ''] = readFileSync(join(home, 'found.csv'), 'utf8').split('\r\n')
  assert.match(head, /^index,at,code,principal,/)
  assert.match(first, /^"\d+","\d{4}-/)
  assert.ok(touched.items.some(({ action, succeeded }) => action === 'identity.principal.get' && succeeded >= 300))
  assert.match(seen, /identity\.principal\.get/)
})

test('the log verifies online, an export grows consistently, and who may not read it gets none of it', async (t) => {
  const { token } = await atlas.api<{ token: string }>('POST', '/tokens', { name: 'v', agent: 'v', role: 'viewer' })

  const online = await atlas.cli(['audit', 'verify', '--json'])
  const later = join(newFolder(t), 'later')
  assert.equal((await atlas.cli(['audit', 'export', later])).code, 0)
  const again = await atlas.cli(['audit', 'export', later])
  const denied = await atlas.cli(['audit', 'export', join(newFolder(t), 'denied')], { env: { ATLAS_TOKEN: token } })
  const open = await Promise.all(
    ['/audit/checkpoint', '/audit/tile/0/000', '/audit/tile/entries/000'].map((path) =>
      atlas.ask('GET', path, { token: undefined }),
    ),
  )

  assert.deepEqual([online.code, JSON.parse(online.stdout).ok], [0, true])
  assert.ok(verifyExport(later).ok)
  for (const file of ['tile/entries/000', 'tile/entries/001', 'tile/0/000', 'tile/0/001', 'vkey'])
    assert.deepEqual(readFileSync(join(later, file)), readFileSync(join(folder, file)), `${file} never changes`)
  assert.equal(again.code, 2, 'an export never goes into a folder that holds something')
  assert.ok(verifyExport(later).ok, 'and leaves what is there as it was')
  assert.equal(denied.code, 1)
  assert.deepEqual(
    open.map(({ status }) => status),
    [401, 401, 401],
  )
})

function files(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort()
}

/** The first and last bytes, and places spread over the rest with an odd step, so that every kind of byte is met. */
function sample(length: number): number[] {
  const step = Math.max(1, Math.floor(length / 40) | 1)
  const spread = Array.from({ length: Math.ceil(length / step) }, (_, i) => i * step)
  return [...new Set([...spread, 1, length - 2, length - 1])].filter((at) => at >= 0 && at < length)
}

/**
 * A changed key or checkpoint is found where the two are compared, so either of them may be named. A changed hash tile
 * is named itself. A changed entry is named itself.
 */
function namesIt(place: string, file: string): boolean {
  if (file === 'vkey') return place === 'vkey' || place === 'checkpoint'
  return place === file || place.startsWith(`${file} `)
}

/** Where a user may make a network namespace of their own: the way to it, which has not even a loopback address. */
const cutOff = [
  ['unshare', '-n'],
  ['unshare', '-rn'],
].find(([command = '', ...args]) => spawnSync(command, [...args, 'true']).status === 0)

async function runNode(args: readonly string[], { cut = false } = {}): Promise<{ code: number | null; text: string }> {
  const [command = '', ...all] = [...((cut && cutOff) || []), process.execPath, ...args]
  const env = { PATH: process.env['PATH'] ?? '' }
  const child = spawn(command, all, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  child.stdout.on('data', (chunk) => {
    text += chunk
  })
  child.stderr.on('data', (chunk) => {
    text += chunk
  })
  const [code] = await once(child, 'close')
  return { code, text }
}
