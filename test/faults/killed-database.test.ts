import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startPostgres } from '../../src/testing/postgres.ts'
import { type Atlas, startAtlas } from '../../src/testing/server.ts'
import { events, eventually } from '../e2e/steps.ts'

// A PostgreSQL that crashes under load, three times, and comes back. Of SQLite there is no other process to kill: test/e2e/kill.test.ts.

type Tried = { readonly answered: Set<string>; readonly refused: Set<string> }

/** Stores secrets from eight sides until `isOver`. */
async function load(atlas: Atlas, round: number, isOver: () => boolean): Promise<Tried> {
  const tried = { answered: new Set<string>(), refused: new Set<string>() }
  let next = 0
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      while (!isOver()) {
        const name = `secret ${round}-${next++}`
        const { status, text } = await atlas.ask('POST', '/api/v1/secrets', { body: { name, value: `kept-${name}` } })
        assert.ok(status < 300 || (status >= 500 && !text.includes('kept-')), `${status} ${text}`)
        tried[status < 300 ? 'answered' : 'refused'].add(name)
      }
    }),
  )
  return tried
}

test('a PostgreSQL that is killed between intent and effect leaves no effect without its entry, and no answer that is lost (AUD-1)', async (t) => {
  const postgres = await startPostgres({ durable: true })
  t.after(postgres.stop)
  const atlas = await startAtlas(t, { env: { ATLAS_DATABASE_URL: postgres.url } })
  const answered = new Set<string>()
  let refused = 0
  for (let round = 0; round < 3; round++) {
    let isOver = false
    const loading = load(atlas, round, () => isOver)
    await new Promise((resolve) => setTimeout(resolve, 500 + 200 * round))
    await postgres.crash()
    // While it is gone, reads are refused, too: what could not be recorded does not leave.
    const read = await atlas.ask('GET', '/api/v1/secrets?limit=200')
    assert.ok(read.status >= 500 && !read.text.includes('secret '), `${read.status} ${read.text}`)
    isOver = true
    const tried = await loading
    for (const name of tried.answered) answered.add(name)
    refused += tried.refused.size
    await postgres.again()
    await eventually(async () => (await atlas.ask('GET', '/api/v1/me')).status === 200 || undefined)
  }

  const kept: string[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: { items: { name: string }[]; next: string | null } = await atlas.api(
      'GET',
      `/secrets?limit=200${cursor && `&cursor=${cursor}`}`,
    )
    kept.push(...page.items.map(({ name }) => name))
    cursor = page.next
  }
  const puts = (await events(atlas, { action: 'vault.secrets.put' })).map(({ code }) => code)
  const verified = await atlas.cli(['audit', 'verify'])

  assert.ok(answered.size > 20 && refused > 0, `${answered.size} answered, ${refused} refused`)
  assert.deepEqual(
    [...answered].filter((name) => !kept.includes(name)),
    [],
    'answered and lost',
  )
  assert.ok(puts.filter((code) => code === 'action.started').length >= kept.length, 'an effect without its entry')
  assert.ok(puts.filter((code) => code === 'action.succeeded').length >= answered.size, 'an answer without its entry')
  assert.equal(verified.code, 0, verified.stderr)
  t.diagnostic(`${answered.size} answered, ${refused} refused, ${kept.length} kept`)
})
