import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Secret } from '../src/core/secret.ts'
import { openLog } from '../src/features/audit/log.ts'
import { auditMigrations } from '../src/features/audit/migrations.ts'
import { vaultMigrations } from '../src/features/vault/migrations.ts'
import { makeVault, type Vault } from '../src/features/vault/vault.ts'
import { openSqlite } from '../src/lib/db/database.ts'
import { migrate } from '../src/lib/db/migrate.ts'
import { type Print, quantile, round } from './line.ts'
import { startAtlas } from './process.ts'

const size = 400
const now = () => new Date()

/** What a secret costs: to store, to read at a steady rate while the log is written and keys are changed, to seal anew. Half a minute. */
export async function benchVault(print: Print, { quick }: { quick: boolean }): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-bench-'))
  const rootKey = createSecretKey(randomBytes(32))
  const database = openSqlite(join(folder, 'atlas.db'), rootKey.export())
  try {
    await migrate(database, [...auditMigrations, ...vaultMigrations], now)
    const vault = makeVault({ database, rootKey, now, onIntegrityFailure: (id) => Promise.reject(new Error(id)) })
    await vault.init()
    const log = await openLog({ database, rootKey, now })
    const ids = await store(vault, quick ? 300 : 2_000, print)
    await readAll(vault, ids, print)
    const seconds = quick ? 3 : 10
    const alone = await readAt(vault, ids, { perSecond: 100, seconds })
    print({ figure: 'vault: read a secret, 100/s, p95', value: round(alone), unit: 'ms' })
    const events = setInterval(() => {
      for (let i = 0; i < 20; i++) void log.append({ code: 'server.started' })
    }, 100)
    await vault.rotate()
    const rewrapping = rewrapAll(vault)
    const busy = await readAt(vault, ids, { perSecond: 100, seconds })
    clearInterval(events)
    print({ figure: 'vault: the same beside 200 audit events/s and a rewrap, p95', value: round(busy), unit: 'ms' })
    print({ figure: 'vault: rewrap', value: Math.round(await rewrapping), unit: 'versions/s' })
    await vault.close()
    await log.close()
  } finally {
    await database.close()
    rmSync(folder, { recursive: true, force: true })
  }
  await readOverHttp(print, quick ? 3 : 10)
}

async function store(vault: Vault, count: number, print: Print): Promise<string[]> {
  const ids: string[] = []
  const started = performance.now()
  for (let i = 0; i < count; i++) {
    const value = new Secret(randomBytes(size / 2).toString('hex'))
    ids.push((await vault.put({ name: `n${i}`, value })).id)
  }
  const perSecond = count / ((performance.now() - started) / 1000)
  print({ figure: 'vault: stored one after the other, durable', value: Math.round(perSecond), unit: 'secrets/s' })
  return ids
}

/** As fast as it goes, against what the same bytes cost in one AES-256-GCM and nothing else. */
async function readAll(vault: Vault, ids: readonly string[], print: Print): Promise<void> {
  for (const id of ids.slice(0, 100)) await vault.use(id)
  const started = performance.now()
  for (const id of ids) await vault.use(id)
  const perSecond = ids.length / ((performance.now() - started) / 1000)
  print({
    figure: 'vault: read from the database and opened',
    value: Math.round(perSecond),
    unit: 'secrets/s',
    against: `one AES-256-GCM of ${size} bytes, in memory`,
    ratio: round(perSecond / rawPerSecond(), 3),
  })
}

function rawPerSecond(): number {
  const key = createSecretKey(randomBytes(32))
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 })
  const box = Buffer.concat([cipher.update(randomBytes(size)), cipher.final()])
  const tag = cipher.getAuthTag()
  const started = performance.now()
  let done = 0
  for (; performance.now() - started < 500; done++) {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 })
    decipher.setAuthTag(tag)
    decipher.update(box)
    decipher.final()
  }
  return done / ((performance.now() - started) / 1000)
}

type Rate = { readonly perSecond: number; readonly seconds: number }

/** One read each so many milliseconds, whether the last one has ended or not: a slow answer does not slow the questions. */
async function atRate({ perSecond, seconds }: Rate, read: (i: number) => Promise<unknown>): Promise<number> {
  const millis: number[] = []
  const pending: Promise<void>[] = []
  const started = performance.now()
  for (let i = 0; i < perSecond * seconds; i++) {
    const due = started + (i * 1000) / perSecond
    await sleep(Math.max(0, due - performance.now()))
    pending.push(read(i).then(() => void millis.push(performance.now() - due)))
  }
  await Promise.all(pending)
  return quantile(millis, 0.95)
}

const readAt = (vault: Vault, ids: readonly string[], rate: Rate) =>
  atRate(rate, (i) => vault.use(ids[(i * 7) % ids.length] as string))

async function rewrapAll(vault: Vault): Promise<number> {
  const started = performance.now()
  let [moved, after]: [number, Parameters<Vault['rewrap']>[0]['after']] = [0, undefined]
  for (;;) {
    const { rewrapped, next } = await vault.rewrap({ limit: 50, after })
    moved += rewrapped
    if (next === null) return moved / ((performance.now() - started) / 1000)
    after = next
  }
}

/** Through the whole server: token, limit, policy, two durable entries in the log, the vault's rows. */
async function readOverHttp(print: Print, seconds: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-bench-'))
  const token = randomBytes(32).toString('base64url')
  const server = await startAtlas(folder, { ATLAS_API_TOKEN: token, ATLAS_RATE_LIMIT_RPM: '10000000' })
  try {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const ask = async (path: string, body?: object): Promise<{ id: string }> => {
      const init = { headers, ...(body && { method: 'POST', body: JSON.stringify(body) }) }
      const answer = await fetch(`${server.url}/api/v1${path}`, init)
      if (!answer.ok) throw new Error(`${path} answered ${answer.status}`)
      return (await answer.json()) as { id: string }
    }
    const { id } = await ask('/secrets', { name: 'one', value: randomBytes(size / 2).toString('hex') })
    await atRate({ perSecond: 100, seconds: 1 }, () => ask(`/secrets/${id}`))
    const p95 = await atRate({ perSecond: 100, seconds }, () => ask(`/secrets/${id}`))
    print({ figure: 'vault: GET /secrets/{id} through every guard, 100/s, p95', value: round(p95), unit: 'ms' })
  } finally {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
