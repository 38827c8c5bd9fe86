import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { openPostgres } from '../../src/lib/db/database.ts'
import { freshPostgresUrl } from '../../src/testing/databases.ts'
import { type Atlas, type Env, newFolder, runAtlas, startAtlas } from '../../src/testing/server.ts'
import { filesBelow, filesIn, findCanaries, type Place } from './canaries.ts'
import { dumpPostgres, dumpSqlite } from './dump.ts'
import { byCommandLine, family, plantEverywhere, planted, rootKey } from './plant.ts'
import { eventually } from './steps.ts'

// Secrets are planted wherever one can be given, rightly and wrongly, and then looked for wherever anything comes out.

type Planted = Readonly<Record<keyof typeof planted | 'issuedToken' | 'sessionToken' | 'family', string | Buffer>>

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
  test(`${dialect}: no planted secret is in the database, its files, logs, tiles, exports, answers, crash output, heap or core dump (SEC-ENC-4, claims: D23)`, async (t) => {
    const folder = newFolder(t)
    const url = dialect === 'PostgreSQL' ? await freshPostgresUrl(t) : undefined
    const env: Env = {
      ATLAS_API_TOKEN: planted.bootstrapToken,
      ATLAS_DEFAULT_ADMIN_PASSWORD: planted.adminPassword,
      ATLAS_SECRET_KEY: planted.rootKeyText,
      ATLAS_LOG_LEVEL: 'trace',
      ...(url && { ATLAS_DATABASE_URL: url }),
      NODE_OPTIONS: '--heapsnapshot-signal=SIGUSR2',
    }
    const first = await startAtlas(t, { folder, env })
    const places: Place[] = []
    const say = (where: string, text: string) => places.push({ where, bytes: Buffer.from(text) })

    // The command line is the same over either database.
    if (dialect === 'SQLite') await byCommandLine(t, first, say)
    const issued = await plantEverywhere(t, first)
    // What is in use: the settings of the process. What is not: all that callers gave and that was signed in with.
    const { connectionToken, vaultSecret, vaultSecretTwo, userPassword } = planted
    const passing = { family, connectionToken, vaultSecret, vaultSecretTwo, userPassword }
    const heap = await heapSnapshot(first)
    assert.deepEqual(findCanaries(passing, [heap]), [])
    const { bootstrapToken } = planted
    assert.notDeepEqual(findCanaries({ bootstrapToken }, [heap]), [], 'what the process holds is seen in its heap')
    assert.deepEqual(findCanaries({ ...planted, family }, coreDump(t, first)), [])
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
    // So many files, and those of other tests among them: what begins all two hundred is enough to look for.
    if (url) assert.deepEqual(findCanaries({ family }, await filesOfPostgres(url)), [])
    const canaries: Planted = { ...planted, ...issued, family }
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

/** The living objects of a server, a moment after its last call and a collection of garbage. */
async function heapSnapshot({ pid, folder }: Atlas): Promise<Place> {
  await sleep(3_000)
  process.kill(pid, 'SIGUSR2')
  return eventually(async () => {
    const name = readdirSync(folder).find((file) => file.endsWith('.heapsnapshot'))
    if (name === undefined) return undefined
    const bytes = readFileSync(join(folder, name))
    if (!bytes.subarray(-16).toString().trimEnd().endsWith(']}')) return undefined
    assert.ok(bytes.includes('makeVault'), 'the snapshot is one of this program')
    rmSync(join(folder, name))
    return { where: 'the heap', bytes }
  })
}

/** What the kernel would write of a server that crashes. gdb's gcore keeps to the same filter; without it only the filter is looked at. */
function coreDump(t: TestContext, { pid, folder }: Atlas): Place[] {
  if (process.platform !== 'linux') return []
  assert.match(readFileSync(`/proc/${pid}/coredump_filter`, 'utf8'), /^0+\n$/)
  const made = spawnSync('gcore', ['-o', join(folder, 'core'), String(pid)], { encoding: 'utf8' })
  const path = join(folder, `core.${pid}`)
  if (made.status !== 0 || !existsSync(path)) {
    t.diagnostic('gcore is not installed or not allowed here')
    return []
  }
  const bytes = readFileSync(path)
  rmSync(path)
  assert.equal(bytes.toString('latin1', 1, 4), 'ELF')
  return [{ where: 'the core dump', bytes }]
}

/** The server's own files: tables, indexes and the write-ahead log, of whatever is there. Only where they can be read. */
async function filesOfPostgres(url: string): Promise<Place[]> {
  const database = openPostgres({ url, maxConnections: 1 })
  try {
    await sql`checkpoint`.execute(database.db)
    const { rows } = await sql<{ path: string; oid: string }>`select setting as path,
      (select oid::text from pg_database where datname = current_database()) as oid
      from pg_settings where name = 'data_directory'`.execute(database.db)
    const [{ path, oid } = { path: '', oid: '' }] = rows
    // Of this database, and what all write into; other tests drop theirs meanwhile.
    const files = [`base/${oid}`, 'pg_wal', 'global'].flatMap((folder) => filesIn(join(path, folder)))
    return files.filter(({ bytes }) => bytes.length > 0)
  } finally {
    await database.close()
  }
}
