import assert from 'node:assert/strict'
import { createSecretKey, randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { migrations } from '../../src/app.ts'
import { openLog } from '../../src/features/audit/log.ts'
import { openPostgres, openSqlite } from '../../src/lib/db/database.ts'
import { migrate } from '../../src/lib/db/migrate.ts'
import { readEvent } from '../../src/testing/aged-log.ts'
import { freshPostgresUrl } from '../../src/testing/databases.ts'
import { newFolder, runAtlas, startAtlas } from '../../src/testing/server.ts'
import { eventually } from './steps.ts'

type Status = { first: number; declared?: { minimum: number; index: number }; due: { entries: number } }
type Found = { items: { code: string; door?: string; principal?: { kind?: string } }[] }

for (const dialect of ['SQLite', 'PostgreSQL'] as const)
  test(`${dialect}: a server deletes what its log no longer keeps, says so in the log, and the rest verifies on and off line (claims: B16 E19 E53)`, async (t) => {
    const folder = newFolder(t)
    const rootKey = randomBytes(32)
    const url = dialect === 'PostgreSQL' ? await freshPostgresUrl(t) : undefined
    mkdirSync(join(folder, 'data'), { mode: 0o700 })
    // A log that began years ago.
    const database = url ? openPostgres({ url }) : openSqlite(join(folder, 'data', 'atlas.db'), rootKey)
    await migrate(database, migrations, () => new Date())
    const past = await openLog({
      database,
      rootKey: createSecretKey(rootKey),
      now: () => new Date('2022-01-01T00:00:00.000Z'),
    })
    await Promise.all(Array.from({ length: 700 }, () => past.append(readEvent)))
    await past.close()
    await database.close()
    const env = { ATLAS_SECRET_KEY: rootKey.toString('base64'), ...(url && { ATLAS_DATABASE_URL: url }) }

    const keeping = await startAtlas(t, { folder, env })
    assert.equal((await keeping.cli(['audit', 'export', join(folder, 'archive')])).code, 0)
    const kept = await keeping.cli(['audit', 'retention'])
    await keeping.stop()
    const atlas = await startAtlas(t, { folder, env: { ...env, ATLAS_AUDIT_RETENTION: '1y' } })
    const status = () => atlas.api<Status>('GET', '/audit/retention')
    await eventually(async () => ((await status()).first === 512 ? true : undefined))
    const { declared, due } = await status()
    const shown = await atlas.cli(['audit', 'retention'])
    const dry = await atlas.cli(['audit', 'retention', 'apply', '--dry-run'])
    const again = await atlas.cli(['audit', 'retention', 'apply'])
    const online = await atlas.cli(['audit', 'verify', '--json'])
    const exported = await atlas.cli(['audit', 'export', join(folder, 'pruned')])
    const offline = await runAtlas(['audit', 'verify', '--offline', join(folder, 'pruned')], { folder: newFolder(t) })
    const archive = await runAtlas(['audit', 'verify', '--offline', join(folder, 'archive')], { folder: newFolder(t) })
    const gone = await atlas.ask<{ type: string; detail: string }>('GET', '/api/v1/audit/events/5')
    const tiles = await Promise.all(
      ['0/001', 'entries/001', '0/002.p/9', 'entries/002.p/9'].map((tile) => atlas.ask('GET', `/audit/tile/${tile}`)),
    )
    const found = await atlas.cli(['audit', 'events', '--to', '2022-06-01', '-n', '200'])

    assert.match(kept.stdout, /entries are kept +for ever/)
    assert.deepEqual([declared?.minimum, due.entries], [512, 0])
    assert.match(shown.stdout, /entries are kept +365 days/)
    assert.match(dry.stdout, /Would be deleted: 0 entries\. Nothing was deleted\./)
    assert.match(again.stdout, /^0 entries and 0 details were deleted; the log begins at entry 512\./)
    const { ok, minimum } = JSON.parse(online.stdout) as { ok: boolean; minimum: number }
    assert.deepEqual([online.code, ok, minimum], [0, true, 512])
    assert.match(exported.stdout, /Entries 0–511 were deleted by retention and are not in it\./)
    assert.deepEqual(readdirSync(join(folder, 'pruned', 'tile', 'entries')), ['002.p'])
    assert.equal(offline.code, 0, offline.stderr)
    assert.match(
      offline.stdout,
      new RegExp(`entries 0–511 were pruned by retention \\(entry ${declared?.index} of .* says so\\)`),
    )
    assert.equal(archive.code, 0, archive.stderr)
    assert.deepEqual([gone.status, gone.body.type], [410, '/docs/problems#gone'])
    assert.deepEqual(
      tiles.map((tile) => tile.status),
      [404, 404, 200, 200],
    )
    assert.match(
      found.stdout,
      /Entries 0–511 are not searched: retention, which keeps entries for 365 days, deleted them/,
    )
    // The schedule did it, through the gate, and the log shows both.
    const { items } = await atlas.api<Found>('GET', '/audit/events?action=audit.retention.apply&limit=50')
    const by = items
      .filter(({ door }) => door === 'schedule')
      .map(({ code, principal }) => `${code} ${principal?.kind}`)
    assert.deepEqual(by, ['action.succeeded system', 'action.started system'])
    assert.equal((await atlas.api<Found>('GET', '/audit/events?code=log.pruned')).items.length, 1)
    assert.ok(readFileSync(join(folder, 'archive', 'checkpoint')).length > 0)
  })
