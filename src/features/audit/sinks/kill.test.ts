import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startLockedBucket } from '../../../../simulators/audit-receivers/s3.ts'
import { startSyslogReceiver } from '../../../../simulators/audit-receivers/syslog.ts'
import { startWebhookReceiver } from '../../../../simulators/audit-receivers/webhook.ts'
import { Secret } from '../../../core/secret.ts'
import { type Database, openPostgres, openSqlite } from '../../../lib/db/database.ts'
import { migrate } from '../../../lib/db/migrate.ts'
import { freshPostgresUrl, testRootKey } from '../../../testing/databases.ts'
import { delivered, until, withSinks } from '../../../testing/sinks.ts'
import { auditMigrations } from '../migrations.ts'
import type { SinkSettings } from './sinks.ts'

type Where = { readonly url?: string; readonly path?: string }
type Plain = Awaited<ReturnType<typeof receivers>>['plain']

// A server's log without the server: appends for ever, delivers, and says after each batch how far it is.
const server = `
  import { writeSync } from 'node:fs'
  import { openPostgres, openSqlite } from '${new URL('../../../lib/db/database.ts', import.meta.url)}'
  import { testRootKey } from '${new URL('../../../testing/databases.ts', import.meta.url)}'
  import { Secret } from '${new URL('../../../core/secret.ts', import.meta.url)}'
  import { openLog } from '${new URL('../log.ts', import.meta.url)}'
  const { where, plain } = JSON.parse(process.argv[1])
  const database = where.url ? openPostgres({ url: where.url, maxConnections: 4 }) : openSqlite(where.path, testRootKey.export())
  const { syslog, webhook, s3, pace } = plain
  const sinks = { syslog, pace,
    webhook: { ...webhook, secrets: webhook.secrets.map((one) => new Secret(one)) },
    s3: { ...s3, secretAccessKey: new Secret(s3.secretAccessKey) } }
  const log = await openLog({ database, rootKey: testRootKey, now: () => new Date(), sinks })
  await log.start({ version: 'test' })
  for (;;) {
    await Promise.all(Array.from({ length: 50 }, () => log.append({ code: 'action.started', action: 'inventory.assets.search' })))
    const { sinks: at } = await log.status()
    writeSync(1, JSON.stringify({ isSigner: log.isSigner(), sent: at.map(({ next }) => next) }) + '\\n')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
`

function startServer(t: TestContext, where: Where, plain: Plain) {
  const child = spawn(
    process.execPath,
    ['--input-type=module-typescript', '-e', server, JSON.stringify({ where, plain })],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  t.after(() => child.kill('SIGKILL'))
  const said: { isSigner: boolean; sent: number[] }[] = []
  const lines = createInterface({ input: child.stdout })
  lines.on('line', (line) => said.push(JSON.parse(line)))
  const closed = new Promise<void>((resolve) => lines.once('close', resolve))
  return {
    said,
    /** Until it has delivered something to all sinks. */
    async works(): Promise<void> {
      const start = said.at(-1)?.sent ?? [0, 0, 0]
      await until(() => (said.at(-1)?.sent ?? []).some((next, i) => next > (start[i] ?? 0)), 'it delivers')
    },
    async kill(): Promise<void> {
      child.kill('SIGKILL')
      await closed
    },
  }
}

async function receivers(t: TestContext) {
  const [syslog, webhook, bucket] = [
    await startSyslogReceiver(),
    await startWebhookReceiver(),
    await startLockedBucket(),
  ]
  t.after(() => Promise.all([syslog.stop(), webhook.stop(), bucket.stop()]))
  const plain = {
    syslog: { url: syslog.url, ca: syslog.caPem, enterprise: 32_473 },
    webhook: { url: webhook.url, ca: webhook.caPem, secrets: webhook.secrets },
    s3: {
      ...{ bucket: bucket.url, prefix: 'hub/', region: bucket.region, ca: bucket.caPem, lockDays: 1 },
      ...bucket.credential,
      lockMode: 'COMPLIANCE' as const,
    },
    pace: { lookMs: 20, retryMs: 20, longestRetryMs: 50, tailMs: 50 },
  }
  const settings: SinkSettings = {
    ...plain,
    webhook: { ...plain.webhook, secrets: webhook.secrets.map((secret) => new Secret(secret)) },
    s3: { ...plain.s3, secretAccessKey: new Secret(bucket.credential.secretAccessKey) },
  }
  return { syslog, webhook, bucket, plain, settings }
}

/** After everything is delivered: each receiver has each entry, and of what came twice both are the same. */
async function checkReceivers(database: Database, at: Awaited<ReturnType<typeof receivers>>): Promise<number> {
  const size = await withSinks(database, { sinks: at.settings }, async (log) => {
    await delivered(log)
    return (await log.status()).size
  })
  const all = Array.from({ length: size }, (_, i) => i)
  await until(() => at.syslog.byIndex().length >= size, 'syslog has read everything')
  const leaves = new Map<number, string>()
  for (const { entries } of at.webhook.deliveries)
    for (const { index, leaf } of entries) {
      assert.equal(leaves.get(index) ?? leaf, leaf, `entry ${index} came as two`)
      leaves.set(index, leaf)
    }
  for (const { index, text } of at.syslog.messages) if (index < size) assert.equal(text, leaves.get(index))
  const sorted = (numbers: readonly number[]) => [...new Set(numbers)].filter((n) => n < size).sort((a, b) => a - b)
  assert.deepEqual(sorted(at.webhook.entries().map(({ index }) => index)), all, 'webhook')
  assert.deepEqual(sorted(at.syslog.messages.map(({ index }) => index)), all, 'syslog')
  const bundles = [...at.bucket.objects.keys()].filter((key) => /^hub\/tile\/entries\/[x0-9/]+$/.test(key))
  assert.equal(bundles.length, Math.floor(size / 256), 'object storage')
  // The last message of a killed process may end in the middle.
  assert.deepEqual([at.syslog.errors.filter((error) => !/inside a frame/.test(error)), at.webhook.refused], [[], []])
  return size
}

async function killOverAndOver(t: TestContext, where: Where, open: () => Database): Promise<void> {
  const at = await receivers(t)
  const first = open()
  await migrate(first, auditMigrations, () => new Date())
  await first.close()
  for (let i = 0; i < 5; i++) {
    const child = startServer(t, where, at.plain)
    await child.works()
    await sleep(randomInt(300))
    await child.kill()
  }
  const database = open()
  try {
    const size = await checkReceivers(database, at)
    t.diagnostic(`${size} entries, ${at.syslog.messages.length} messages, ${at.webhook.deliveries.length} deliveries`)
  } finally {
    await database.close()
  }
}

test('a server that is killed in the middle, over and over, leaves no gap in any sink (SQLite)', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-kill-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'atlas.db')
  await killOverAndOver(t, { path }, () => openSqlite(path, testRootKey.export()))
})

test('a server that is killed in the middle, over and over, leaves no gap in any sink (PostgreSQL)', async (t) => {
  const url = await freshPostgresUrl(t)
  await killOverAndOver(t, { url }, () => openPostgres({ url, maxConnections: 4 }))
})

test('of two servers on one PostgreSQL one delivers; when it is killed the other goes on without a gap', async (t) => {
  const url = await freshPostgresUrl(t)
  const at = await receivers(t)
  const database = openPostgres({ url, maxConnections: 4 })
  try {
    await migrate(database, auditMigrations, () => new Date())
    const first = startServer(t, { url }, at.plain)
    await first.works()
    const second = startServer(t, { url }, at.plain)
    await until(() => second.said.length > 3, 'the second appends')
    assert.ok(first.said.at(-1)?.isSigner && !second.said.at(-1)?.isSigner)
    await first.kill()
    await until(() => second.said.at(-1)?.isSigner === true, 'the second signs')
    await second.works()
    await second.kill()
    t.diagnostic(`${await checkReceivers(database, at)} entries`)
  } finally {
    await database.close()
  }
})
