import assert from 'node:assert/strict'
import { closeSync, existsSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { sql } from 'kysely'
import { backupKey, fileKeyAad, toFileKey } from './backup.ts'
import { backupHere } from './backup-local.ts'
import { readHeadRow } from './features/audit/attest.ts'
import { openLog } from './features/audit/log.ts'
import { makeVault } from './features/vault/vault.ts'
import {
  type BackupHeader,
  backupStatement,
  checkBackup,
  encodeHeader,
  makeBackupWriter,
  readBackup,
} from './lib/backup-file.ts'
import type { Database } from './lib/db/database.ts'
import { open as unseal } from './lib/envelope.ts'
import { drill, restore, verifyBackup } from './restore.ts'
import { StartError } from './start-error.ts'
import { hold, prepareDataDirectory } from './storage.ts'
import { dialects, furnish, type Host, hostKey, newHost, otherKey } from './testing/backups.ts'

/** The message and exit code of a refusal. */
async function refusal(run: Promise<unknown>): Promise<string> {
  const error = await run.then(
    () => assert.fail('it was not refused'),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof StartError, String((error as Error).stack))
  return `${error.exitCode}: ${error.message}`
}

async function open(database: Database) {
  const now = () => new Date()
  const vault = makeVault({ database, rootKey: hostKey, now, onIntegrityFailure: (id) => assert.fail(id) })
  await vault.init()
  return { vault, log: await openLog({ database, rootKey: hostKey, now }) }
}

for (const dialect of dialects) {
  test(`${dialect}: what a backup holds is put back: secrets open, the log verifies and goes on, and says so (claims: A27)`, async (t) => {
    const source = await newHost(t, dialect)
    const { secret, vkey } = await furnish(source)
    const file = await source.backUp()
    const target = await newHost(t, dialect)

    const answer = await restore(target.config, { file })

    assert.deepEqual(
      [answer['secretsOpened'], answer['logEntries'], answer['dialect']],
      [2, 6, dialect === 'SQLite' ? 'sqlite' : 'postgres'],
    )
    await target.using(async (database) => {
      const { vault, log } = await open(database)
      assert.equal((await vault.reveal(secret, 1)).value.reveal(), 'value')
      assert.equal((await vault.use(secret)).reveal(), 'second')
      assert.equal(log.vkey, vkey)
      assert.equal((await log.verify()).ok, true)
      const { items } = await log.search({ limit: 3 })
      assert.deepEqual(
        items.map(({ code }) => code),
        ['backup.restored', 'backup.started', 'login.succeeded'],
      )
      assert.equal(items[0]?.resource?.id, answer['backup'])
      await log.close()
    })
    if (dialect === 'SQLite') assert.equal(statSync(join(target.config.ATLAS_DATA_DIR, 'atlas.db')).mode & 0o777, 0o600)
  })

  test(`${dialect}: a drill does all of it and leaves nothing (claims: A27)`, async (t) => {
    const source = await newHost(t, dialect)
    await furnish(source)
    const file = await source.backUp()
    const target = await newHost(t, dialect)

    const answer = await drill(target.config, { file })

    assert.deepEqual([answer['secretsOpened'], answer['logEntries']], [2, 6])
    assert.ok(await target.isUntouched())
    if (dialect === 'PostgreSQL')
      await target.using(async ({ db }) => {
        const { rows } = await sql`select nspname from pg_namespace where nspname like 'atlas%'`.execute(db)
        assert.deepEqual(rows, [])
      })
    // Beside a database that is in use, too.
    await drill(source.config, { file })
    await source.using(async (database) => assert.equal((await (await open(database)).log.verify()).ok, true))
  })

  const damages: Record<string, { damage: (database: Database) => Promise<unknown>; says: RegExp }> = {
    'a secret that does not open': {
      damage: ({ db }) => sql`update secret set name = 'another' where name = 'token'`.execute(db),
      says: /^1: Version 1 of the secret sec_\w+ is damaged or belongs elsewhere\. Nothing was changed\.$/,
    },
    'an entry of the log that was changed': {
      damage: ({ db }) => sql`update audit_entry set code = 'login.failed' where idx = 2`.execute(db),
      says: /^1: The audit log in the backup does not verify: audit_entry 2 /,
    },
    'a personal part of the log that is missing': {
      damage: ({ db }) => sql`delete from audit_payload where idx = 1`.execute(db),
      says: /^1: The audit log in the backup does not verify: audit_payload 1 /,
    },
    'migrations of a newer version': {
      damage: ({ db }) =>
        sql`insert into migration (id, name, run_at) values (99999, 'from the future', '')`.execute(db),
      says: /^1: The backup was made by a newer version \(1\.2\.3\): it has migration 99999 \(from the future\)/,
    },
  }
  for (const [what, { damage, says }] of Object.entries(damages))
    test(`${dialect}: a backup with ${what} is refused, and nothing is written`, async (t) => {
      const source = await newHost(t, dialect)
      await furnish(source)
      await source.using(damage)
      const file = await source.backUp()
      const target = await newHost(t, dialect)

      assert.match(await refusal(restore(target.config, { file })), says)
      assert.match(await refusal(drill(target.config, { file })), says)
      assert.ok(await target.isUntouched())
    })

  test(`${dialect}: another root key, another log, a changed file, and a place with data are refused (claims: E36)`, async (t) => {
    const source = await newHost(t, dialect)
    await furnish(source)
    const file = await source.backUp()
    const empty = await newHost(t, dialect)
    const wrongKey = await newHost(t, dialect, otherKey)
    const vkeyFile = join(empty.folder, 'vkey')
    const stranger = await newHost(t, 'SQLite')
    writeFileSync(vkeyFile, (await furnish(stranger)).vkey)
    const changed = join(empty.folder, 'changed')
    const bytes = readFileSync(file)
    bytes[bytes.length >> 1]! ^= 1
    writeFileSync(changed, bytes)
    const nothing = join(empty.folder, 'nothing')
    writeFileSync(nothing, 'x'.repeat(100))

    assert.match(
      await refusal(restore(wrongKey.config, { file })),
      /^2: unknown key: this backup needs the root key with the fingerprint [0-9a-f]{16}, and the one given is [0-9a-f]{16}\./,
    )
    assert.match(
      await refusal(restore(empty.config, { file, vkeyFile })),
      /^1: The signature of the backup does not verify: it is of the log /,
    )
    assert.match(await refusal(restore(empty.config, { file: changed })), /^1: /)
    assert.match(await refusal(restore(empty.config, { file: nothing })), /^1: This is not a backup of Atlas/)
    assert.match(await refusal(restore(empty.config, { file: join(empty.folder, 'gone') })), /^2: .* does not exist$/)
    assert.ok(await empty.isUntouched())
    assert.ok(await wrongKey.isUntouched())
    const before = await source.using(sizeOfLog)
    assert.match(
      await refusal(restore(source.config, { file })),
      /^1: (There is data in .* already|The database is not empty)/,
    )
    assert.equal(await source.using(sizeOfLog), before)
  })

  test(`${dialect}: a backup that cannot be recorded is not made`, async (t) => {
    const source = await newHost(t, dialect)
    await furnish(source)
    await source.using(({ db }) => sql`update audit_head set mac = ${Buffer.alloc(32)}`.execute(db))
    const file = join(source.folder, 'all.backup')
    await assert.rejects(backupHere(source.config, { file }, '1.2.3'))
    assert.deepEqual([existsSync(file), existsSync(`${file}.part`)], [false, false])
  })

  test(`${dialect}: verify says what it checked and what it could not`, async (t) => {
    const source = await newHost(t, dialect)
    const { vkey } = await furnish(source)
    const file = await source.backUp()
    const vkeyFile = join(source.folder, 'vkey')
    writeFileSync(vkeyFile, `${vkey}\n`)
    const elsewhere = await newHost(t, dialect, otherKey)

    const known = await verifyBackup(source.config, { file, vkeyFile })
    const unknown = await verifyBackup(elsewhere.config, { file })

    const [keyNeeded, whose, drilled] = ['needs the root key', '--vkey', '--drill']
    const words = (answer: Record<string, unknown>) =>
      [keyNeeded, whose, drilled].filter((word) =>
        (answer['notChecked'] as string[]).some((line) => line.includes(word)),
      )
    assert.deepEqual([known['opened'], words(known)], [true, [drilled]])
    assert.deepEqual([unknown['opened'], words(unknown)], [false, [keyNeeded, whose, drilled]])
  })
}

test('a file that exists is never overwritten, and a folder without data has no backup', async (t) => {
  const source = await newHost(t, 'SQLite')
  assert.equal(await backupHere(source.config, {}, '1'), undefined)
  await furnish(source)
  const file = await source.backUp()
  const bytes = readFileSync(file)
  assert.match(await refusal(backupHere(source.config, { file }, '1')), /^1: There is a file of that name already/)
  assert.deepEqual(readFileSync(file), bytes)
})

async function sizeOfLog({ db }: Database): Promise<number> {
  const { rows } = await sql<Record<string, unknown>>`select * from audit_head`.execute(db)
  return readHeadRow(hostKey, rows[0]).size
}

/** As whoever has all the keys could write it: the same content under another header, sealed and signed anew. */
async function resealed(
  source: Host,
  file: string,
  change: (header: BackupHeader) => Partial<BackupHeader>,
): Promise<string> {
  const handle = openSync(file, 'r')
  const checked = checkBackup(handle)
  const { header } = checked
  const keyOf = () => toFileKey(unseal(backupKey(hostKey), Buffer.from(header.key, 'base64'), fileKeyAad(header.id)))
  const pieces = [...readBackup(handle, keyOf(), checked)]
  closeSync(handle)
  const other = { ...header, ...change(header) }
  const path = `${file}.resealed`
  rmSync(path, { force: true })
  const writer = makeBackupWriter(path, encodeHeader(other), keyOf())
  for (const piece of pieces) writer.write(piece)
  await source.using(async (database) => {
    const { log } = await open(database)
    writer.sign(log.attest('backup', backupStatement(other, writer.end())))
    await log.close()
  })
  return path
}

const lies: Record<string, { change: (header: BackupHeader) => Partial<BackupHeader>; says: RegExp }> = {
  'another size of the log': {
    change: ({ log }) => ({ log: { ...log, size: log.size - 1 } }),
    says: /^1: The audit log in the backup is not the one that its header names/,
  },
  'another root of the log': {
    change: ({ log }) => ({ log: { ...log, root: Buffer.alloc(32).toString('base64') } }),
    says: /^1: The audit log in the backup is not the one that its header names/,
  },
  'a checkpoint of another log': {
    change: ({ log }) => ({ log: { ...log, checkpoint: log.checkpoint.replace(/— \S+ \S+/, '— other AAAAAAAA') } }),
    says: /^1: no signature of/,
  },
  'fewer rows of a table': {
    change: ({ tables }) => ({
      tables: tables.map(({ name, rows }) => ({ name, rows: rows - Number(name === 'secret') })),
    }),
    says: /^1: secret has other rows than the backup says/,
  },
}

for (const [what, { change, says }] of Object.entries(lies))
  test(`a backup whose header says ${what} than what is in it is refused, whoever signed it`, async (t) => {
    const source = await newHost(t, 'SQLite')
    await furnish(source)
    const file = await source.backUp()
    const target = await newHost(t, 'SQLite')
    const same = await resealed(source, file, () => ({}))
    assert.equal((await drill(target.config, { file: same }))['secretsOpened'], 2)

    const lie = await resealed(source, file, change)

    assert.match(await refusal(restore(target.config, { file: lie })), says)
    assert.ok(await target.isUntouched())
  })

test('nothing is put back while another process holds the place', async (t) => {
  const source = await newHost(t, 'SQLite')
  await furnish(source)
  const file = await source.backUp()
  const target = await newHost(t, 'SQLite')
  prepareDataDirectory(target.config.ATLAS_DATA_DIR)
  const { release } = await hold(target.config, 'exclusive')
  assert.match(await refusal(restore(target.config, { file })), /^1: Another Atlas process works with this data/)
  await release()
  await restore(target.config, { file })
})

test('a key in the header that was sealed for another backup does not open', async (t) => {
  const source = await newHost(t, 'SQLite')
  await furnish(source)
  const file = await source.backUp()
  const lie = await resealed(source, file, () => ({ id: 'bak_000000000000000000000000' }))
  assert.match(
    await refusal(restore((await newHost(t, 'SQLite')).config, { file: lie })),
    /^1: The key in the header of the backup is damaged/,
  )
})

test('a write-ahead log that was left behind is not taken into the file that is put back', async (t) => {
  const source = await newHost(t, 'SQLite')
  await furnish(source)
  const file = await source.backUp()
  const target = await newHost(t, 'SQLite')
  prepareDataDirectory(target.config.ATLAS_DATA_DIR)
  for (const end of ['-wal', '-shm', '-journal']) {
    const left = join(target.config.ATLAS_DATA_DIR, `atlas.db${end}`)
    writeFileSync(left, 'left', { mode: 0o600 })
    assert.match(await refusal(restore(target.config, { file })), /^1: There is data in /)
    rmSync(left)
  }
})

for (const dialect of dialects)
  test(`${dialect}: sessions and approvals of the time of the backup do not come to life again`, async (t) => {
    const source = await newHost(t, dialect)
    await furnish(source)
    await source.using(async (database) => {
      const at = '2026-01-01T00:00:00.000Z'
      await sql`insert into principal (id, kind, name, created_at, version) values ('usr_a', 'user', 'ada', ${at}, 1)`.execute(
        database.db,
      )
      for (const kind of ['session', 'api'])
        await sql`insert into token (id, principal_id, kind, name, secret_hash, hint, created_at, expires_at)
          values (${kind}, 'usr_a', ${kind}, ${kind}, ${Buffer.from(kind)}, '', ${at}, ${at})`.execute(database.db)
      await sql`insert into approval (id, principal_id, action, resource_type, resource_id, input_hash, policy_version,
          request_box, state, requested_at, expires_at)
        values ('apr_1', 'usr_a', 'x.y.z', 'any', '1', 'h', '1', ${Buffer.alloc(8)}, 'approved', ${at}, ${at})`.execute(
        database.db,
      )
    })
    const file = await source.backUp()
    const target = await newHost(t, dialect)
    await restore(target.config, { file })

    await target.using(async (database) => {
      const { rows } = await sql`select kind, revoked_by from token order by kind`.execute(database.db)
      assert.deepEqual(
        rows.map((row) => ({ ...(row as object) })),
        [
          { kind: 'api', revoked_by: null },
          { kind: 'session', revoked_by: 'restore' },
        ],
      )
      const approvals = await sql<{ state: string }>`select state from approval`.execute(database.db)
      assert.deepEqual(
        approvals.rows.map(({ state }) => state),
        ['expired'],
      )
    })
  })
