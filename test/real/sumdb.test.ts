import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { newFolder, startAtlas } from '../../src/testing/server.ts'
import { bundle, filesOf, flip, noteKey, type Run, run, unbundle, writeLog } from '../interop/material.ts'

// The log of a real server, verified by the Go project's own golang.org/x/mod/sumdb as Debian ships it (golang-golang-x-mod-dev).

const gopath = process.env.ATLAS_TEST_GOPATH ?? '/usr/share/gocode'
const go = spawnSync('go', ['version'])
const skip =
  go.error !== undefined
    ? 'go is not installed'
    : existsSync(join(gopath, 'src/golang.org/x/mod/sumdb/tlog'))
      ? false
      : `golang.org/x/mod is not below ${gopath} (Debian: golang-golang-x-mod-dev)`

let program = ''
const built = newFolder({ after: (clean) => process.once('exit', () => void clean()) })
before(async () => {
  if (skip) return
  program = join(built, 'verify')
  const source = join(import.meta.dirname, '../interop/sumdb/verify.go')
  const env = { GO111MODULE: 'off', GOPATH: gopath, GOCACHE: join(built, 'cache'), GOFLAGS: '', HOME: built }
  const { code, text } = await run('go', ['build', '-o', program, source], env)
  assert.equal(code, 0, text)
})

const refused = ({ code, text }: Run, what: string) =>
  assert.deepEqual([code, /^FAILED: /m.test(text)], [1, true], `${what}: ${text}`)

test('Go sumdb verifies an exported log, every entry by its inclusion, and a proof (AUD-3, AUD-8, claims: C25)', {
  skip,
}, async (t) => {
  const server = await startAtlas(t)
  for (let done = 0; done < 300; done += 10)
    await Promise.all(Array.from({ length: 10 }, () => server.api('GET', '/me')))
  const folder = newFolder(t)
  const log = join(folder, 'log')
  const vkey = join(log, 'vkey')
  const proof = join(folder, 'event.tlog-proof')
  assert.equal((await server.cli(['audit', 'proof', '5', '-o', proof])).code, 0)
  assert.equal((await server.cli(['audit', 'export', log])).code, 0)
  const whole = await run(program, ['log', log, vkey])
  assert.equal(whole.code, 0, whole.text)
  const size = readFileSync(join(log, 'checkpoint'), 'utf8').split('\n')[1]
  assert.match(whole.text, new RegExp(`verified +${size} entries, each with its inclusion proof, and \\d+ tiles`))
  assert.ok(Number(size) > 512)
  const one = await run(program, ['proof', proof, vkey])
  assert.equal(one.code, 0, one.text)

  for (const path of filesOf(log)) {
    const copy = newFolder(t)
    cpSync(log, copy, { recursive: true })
    flip(copy, path, Math.floor(readFileSync(join(log, path)).length / 2))
    refused(await run(program, ['log', copy, join(copy, 'vkey')]), path)
  }
  const copy = newFolder(t)
  cpSync(log, copy, { recursive: true })
  const entries = unbundle(readFileSync(join(copy, 'tile/entries/001')))
  writeFileSync(join(copy, 'tile/entries/001'), bundle([...entries.slice(1), ...entries.slice(0, 1)]))
  refused(await run(program, ['log', copy, vkey]), 'entries in another order')
  renameSync(join(copy, 'tile/entries/001'), join(copy, 'tile/entries/009'))
  refused(await run(program, ['log', copy, vkey]), 'a bundle missing')
  const other = join(folder, 'other')
  writeFileSync(other, noteKey(String(readFileSync(vkey, 'utf8').split('+')[0])).vkey)
  refused(await run(program, ['log', log, other]), 'another key')
  writeFileSync(proof, readFileSync(proof, 'utf8').replace('index 5', 'index 6'))
  refused(await run(program, ['proof', proof, vkey]), 'another index')
})

test('Go sumdb agrees about the trees that verify.py is tested with (AUD-3, claims: C25)', { skip }, async (t) => {
  for (const size of [1, 2, 255, 256, 257, 513, 65_537]) {
    const folder = join(newFolder(t), 'log')
    mkdirSync(folder)
    writeLog(folder, size)
    const { code, text } = await run(program, ['log', folder, join(folder, 'vkey')])
    assert.equal(code, 0, `${size}: ${text}`)
  }
})
