import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { test } from 'node:test'
import { freshPostgresUrl } from '../../src/testing/databases.ts'
import { type Env, newFolder, runAtlas, startAtlas } from '../../src/testing/server.ts'
import { filesBelow, findCanaries, type Place } from './canaries.ts'
import { dumpPostgres, dumpSqlite } from './dump.ts'
import { byCommandLine, plantEverywhere, planted, rootKey } from './plant.ts'

// Secrets are planted wherever one can be given, rightly and wrongly, and then looked for wherever anything comes out.

type Planted = Readonly<Record<keyof typeof planted | 'issuedToken' | 'sessionToken', string | Buffer>>

test('the search finds a value in each form that it may take', () => {
  const value = planted.vaultSecret
  const texts: Record<string, Buffer> = {
    plain: Buffer.from(`x${value}y`),
    JSON: Buffer.from(JSON.stringify({ value })),
    'JSON in JSON': Buffer.from(JSON.stringify(JSON.stringify({ value }))),
    URL: Buffer.from(`?a=${encodeURIComponent(value)}`),
    'form field': Buffer.from(String(new URLSearchParams({ value }))),
    hex: Buffer.from(Buffer.from(`a${value}`).toString('hex')),
    base64: Buffer.from(Buffer.from(`${value}a`).toString('base64')),
    base64url: Buffer.from(Buffer.from(`ab${value}c`).toString('base64url')),
    'UTF-16LE': Buffer.from(value, 'utf16le'),
    'UTF-16BE': Buffer.from(value, 'utf16le').swap16(),
  }
  for (const [form, bytes] of Object.entries(texts)) {
    const hits = findCanaries({ value }, [{ where: 'here', bytes }])
    assert.ok(hits.includes(`here: value as ${form}`), `${form}: ${hits}`)
  }
  assert.deepEqual(findCanaries({ rootKey }, [{ where: 'here', bytes: Buffer.from('none') }]), [])
})

for (const dialect of ['SQLite', 'PostgreSQL'] as const)
  test(`${dialect}: no planted secret is in the database, logs, exports, answers or crash output`, async (t) => {
    const folder = newFolder(t)
    const url = dialect === 'PostgreSQL' ? await freshPostgresUrl(t) : undefined
    const env: Env = {
      ATLAS_API_TOKEN: planted.bootstrapToken,
      ATLAS_DEFAULT_ADMIN_PASSWORD: planted.adminPassword,
      ATLAS_SECRET_KEY: planted.rootKeyText,
      ATLAS_LOG_LEVEL: 'trace',
      ...(url && { ATLAS_DATABASE_URL: url }),
    }
    const first = await startAtlas(t, { folder, env })
    const places: Place[] = []
    const say = (where: string, text: string) => places.push({ where, bytes: Buffer.from(text) })

    // The command line is the same over either database.
    if (dialect === 'SQLite') await byCommandLine(t, first, say)
    const issued = await plantEverywhere(t, first)
    await first.stop()
    const wrongKey = await runAtlas(['serve'], {
      folder,
      env: {
        ATLAS_PORT: '0',
        ATLAS_DATA_DIR: first.dataDir,
        ...env,
        ATLAS_SECRET_KEY: randomBytes(32).toString('hex'),
      },
    })
    assert.match(wrongKey.stderr, /unknown key/)
    const second = await startAtlas(t, { folder, env })
    await second.ask('GET', '/api/v1/me')
    const crashed = await second.stop('SIGABRT')
    assert.equal(crashed.signal, 'SIGABRT')

    for (const [name, { output, answers }] of Object.entries({ first, second })) {
      say(`the ${name} server's output`, output.stdout + output.stderr)
      for (const { request, text } of answers) say(`the answer to ${request.slice(0, 60)}`, text)
    }
    say('the output of a start with a wrong key', wrongKey.stdout + wrongKey.stderr)
    places.push(...filesBelow(folder))
    places.push({
      where: 'the tables',
      bytes: url ? await dumpPostgres(url) : await dumpSqlite(join(first.dataDir, 'atlas.db'), rootKey),
    })
    const canaries: Planted = { ...planted, ...issued }
    const hits = findCanaries(canaries, places)
    const once = [
      'the answer to POST /api/v1/tokens: issuedToken as',
      'the answer to POST /api/v1/login: sessionToken as',
    ]
    assert.deepEqual(
      hits.filter((hit) => !once.some((start) => hit.startsWith(start))),
      [],
    )
    assert.ok(
      once.every((start) => hits.some((hit) => hit.startsWith(start))),
      'the answers that issue a token were looked at',
    )
  })
