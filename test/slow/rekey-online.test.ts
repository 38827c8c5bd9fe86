import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { migrations } from '../../src/app.ts'
import { shippedPolicies } from '../../src/features/policy/policy.ts'
import { hashOf } from '../../src/features/policy/policy-set.ts'
import { openPostgres, openSqlite } from '../../src/lib/db/database.ts'
import { migrate } from '../../src/lib/db/migrate.ts'
import { createKeyFile } from '../../src/lib/root-key.ts'
import { freshPostgresUrl } from '../../src/testing/databases.ts'
import { type Atlas, type Env, newFolder, runAtlas, startAtlas } from '../../src/testing/server.ts'
import { password, type Secrets, startLoad } from './load.ts'

// The root key changes while the server has work to do, and while it is killed. ATLAS_TEST_KILLS=50 for as many as SECURITY.md asks.

const kills = Number(process.env['ATLAS_TEST_KILLS'] ?? 5)
const perSecond = 200
const mayReveal = `@id("test-reveals")
@description("The admin of this test may read back.")
permit (principal in Atlas::Role::"admin", action, resource);`

type World = { readonly folder: string; readonly env: Env; readonly firstKey: string }

/** An installation whose admin may also reveal, so that what is stored can be read back. */
async function makeWorld(t: TestContext, dialect: 'SQLite' | 'PostgreSQL'): Promise<World> {
  const folder = newFolder(t)
  const data = join(folder, 'data')
  mkdirSync(data, { mode: 0o700 })
  const key = createKeyFile(join(data, 'root.key'))
  const firstKey = join(folder, 'first.key')
  copyFileSync(join(data, 'root.key'), firstKey)
  const url = dialect === 'PostgreSQL' ? await freshPostgresUrl(t) : undefined
  const database = url ? openPostgres({ url }) : openSqlite(join(data, 'atlas.db'), key.export())
  await migrate(database, migrations, () => new Date())
  const text = `${shippedPolicies}\n${mayReveal}\n`
  await sql`insert into policy_version (id, created_at, created_by, hash, text)
    values (1, '2026-01-01T00:00:00.000Z', 'test', ${hashOf(text)}, ${text})`.execute(database.db)
  await database.close()
  const env = { ATLAS_DEFAULT_ADMIN_PASSWORD: password, ...(url && { ATLAS_DATABASE_URL: url }) }
  return { folder, env, firstKey }
}

async function readBack(atlas: Atlas, secrets: Iterable<readonly [string, string]>): Promise<void> {
  for (const [id, value] of secrets) {
    const revealed = await atlas.api<{ value: string }>('POST', `/secrets/${id}/reveal`, {})
    assert.equal(revealed.value, value, id)
  }
}

async function assertWhole(atlas: Atlas): Promise<void> {
  const verdict = await atlas.api<{ ok: boolean }>('POST', '/audit/verify', {})
  assert.equal(verdict.ok, true, JSON.stringify(verdict))
}

async function assertUnknown({ folder, env, firstKey }: World): Promise<void> {
  const more = { ATLAS_PORT: '0', ATLAS_DATA_DIR: join(folder, 'data'), ATLAS_SECRET_KEY_FILE: firstKey }
  const { code, stderr } = await runAtlas(['serve'], { folder, env: { ...env, ...more } })
  assert.deepEqual([code, /unknown key/.test(stderr)], [2, true], stderr)
}

for (const dialect of ['SQLite', 'PostgreSQL'] as const) {
  test(`${dialect}: no request fails while the root key changes under load, 200 requests a second where the machine can (SEC-ENC-5, claims: A41 A42)`, async (t) => {
    const world = await makeWorld(t, dialect)
    const atlas = await startAtlas(t, world)
    const secrets: Secrets = new Map()
    const load = startLoad(atlas, secrets, perSecond)
    await sleep(1500)
    const took: number[] = []
    for (let change = 0; change < 3; change++) {
      const at = performance.now()
      await atlas.api('POST', '/vault/rekey', {})
      took.push(Math.round(performance.now() - at))
      await sleep(700)
    }
    const rate = load.perSecond()
    await load.end()

    assert.deepEqual(load.failures, [])
    t.diagnostic(
      `${load.requests()} requests, ${rate} a second, none failed; p50 ${load.percentile(0.5)} ms, p95 ${load.percentile(0.95)} ms, slowest ${load.percentile(0.9999)} ms; changes took ${took.join(', ')} ms`,
    )
    await assertWhole(atlas)
    await readBack(atlas, secrets)
    await atlas.stop()
    await assertUnknown(world)
  })

  test(`${dialect}: kill -9 while the root key changes under load loses nothing that was acknowledged (SEC-ENC-5, claims: A41 A42)`, async (t) => {
    const world = await makeWorld(t, dialect)
    const secrets: Secrets = new Map()
    const ends: Record<string, number> = {}
    for (let kill = 0; kill < kills; kill++) {
      const atlas = await startAtlas(t, world)
      const [, end = 'before or after'] =
        /change of the root key (is finished|was undone)/.exec(atlas.output.stdout) ?? []
      ends[end] = (ends[end] ?? 0) + 1
      await assertWhole(atlas)
      await readBack(atlas, [...secrets].slice(-60))
      const load = startLoad(atlas, secrets, perSecond)
      await sleep(300)
      const changing = changeForEver(atlas)
      await sleep(Math.random() * 400)
      assert.deepEqual(load.failures, [])
      const abandoned = load.abandon()
      await atlas.stop('SIGKILL')
      await abandoned
      assert.match(await changing, /fetch failed|terminated/)
    }
    const last = await startAtlas(t, world)
    await assertWhole(last)
    await readBack(last, secrets)
    t.diagnostic(
      `${kills} kills, ${secrets.size} secrets read back; the next start found the change: ${JSON.stringify(ends)}`,
    )
    await last.api('POST', '/vault/rekey', {})
    await last.stop()
    await assertUnknown(world)
  })
}

/** One change after the other until the server is gone; answers how it went. */
async function changeForEver(atlas: Atlas): Promise<string> {
  try {
    for (;;) await atlas.api('POST', '/vault/rekey', {})
  } catch (error) {
    return (error as Error).message
  }
}
