import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Atlas, newFolder, startAtlas } from '../../src/testing/server.ts'
import { events } from '../e2e/steps.ts'

// A disk that is really full: the server's data lies on a small tmpfs of its own, in a mount namespace that any user may make.

const inOwnMounts = ['unshare', '-rm', 'sh', '-c']
const mount = 'mount -t tmpfs -o size=12m,mode=0700 tmpfs "$ATLAS_DATA_DIR"'
const probe = spawnSync(inOwnMounts[0] ?? '', [...inOwnMounts.slice(1), 'mount -t tmpfs tmpfs /mnt'])
const value = 'kept-on-a-full-disk-'.padEnd(16_000, 'x')

/** Stores secrets until nothing more is taken; answers the names that were, and how often it was refused. */
async function fill(atlas: Atlas) {
  const stored: string[] = []
  const refused: string[] = []
  for (let i = 0; refused.length < 20; i++) {
    assert.ok(i < 5_000, 'the disk is never full')
    const name = `secret ${i}`
    const { status, text } = await atlas.ask('POST', '/api/v1/secrets', { body: { name, value } })
    if (status < 300) stored.push(name)
    else {
      assert.ok(status >= 500, text)
      assert.doesNotMatch(text, /kept-on/)
      refused.push(name)
    }
  }
  return { stored, refused }
}

test('on a full disk a call is refused, nothing is done without its entry, and nothing that was answered is lost (AUD-1)', {
  skip: probe.status !== 0 && 'no mount namespace can be made here',
}, async (t) => {
  const folder = newFolder(t)
  mkdirSync(join(folder, 'data'), { mode: 0o700 })
  const small = await startAtlas(t, { folder, through: [...inOwnMounts, `${mount} && exec "$0" "$@"`] })

  const { stored, refused } = await fill(small)
  // A read is refused, too: it could not be recorded, so its answer does not leave.
  const reads = await Promise.all(Array.from({ length: 5 }, () => small.ask('GET', '/api/v1/secrets?limit=200')))
  const elsewhere = newFolder(t)
  cpSync(`/proc/${small.pid}/root${join(folder, 'data')}`, join(elsewhere, 'data'), { recursive: true })
  await small.stop('SIGKILL')

  const whole = await startAtlas(t, { folder: elsewhere })
  const kept: string[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: { items: { name: string }[]; next: string | null } = await whole.api(
      'GET',
      `/secrets?limit=200${cursor && `&cursor=${cursor}`}`,
    )
    kept.push(...page.items.map(({ name }) => name))
    cursor = page.next
  }
  const puts = (await events(whole, { action: 'vault.secrets.put' })).map(({ code }) => code)
  const verified = await whole.cli(['audit', 'verify'])

  assert.ok(stored.length > 20, `${stored.length} before the disk was full`)
  for (const { status, text } of reads)
    assert.ok(status === 200 || !text.includes('secret 1'), `a read that was not recorded answered ${status}`)
  assert.deepEqual(
    stored.filter((name) => !kept.includes(name)),
    [],
    'answered and lost',
  )
  assert.ok(puts.filter((code) => code === 'action.started').length >= kept.length, 'an effect without its entry')
  assert.ok(puts.filter((code) => code === 'action.succeeded').length >= stored.length, 'an answer without its entry')
  assert.equal(verified.code, 0, verified.stderr)
  const answers = reads.map(({ status }) => status).join(' ')
  t.diagnostic(
    `${stored.length} stored, ${refused.length} refused, ${kept.length} kept; reads on the full disk: ${answers}`,
  )
})
