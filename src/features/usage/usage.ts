import type { Principal } from '../../core/action.ts'
import type { Database, Db } from '../../lib/db/database.ts'
import { newId } from '../../lib/ids.ts'
import { type Departure, learn, type Measure } from './baseline.ts'
import { type Calls, makeCalls } from './calls.ts'
import {
  type AnomalyRow,
  addAnomaly,
  claimAnomaly,
  type Filter,
  forgetBefore,
  forgetPrincipal,
  listAnomalies,
  readBaselines,
  releaseAnomaly,
  unrecorded,
  writeBaseline,
} from './store.ts'

type Event = {
  readonly code: 'anomaly.detected'
  readonly principal: { readonly id: string; readonly kind: string; readonly tokenId: string }
  readonly resource: { readonly type: string; readonly id: string }
  readonly detail: Readonly<Record<string, unknown>>
}

type Parts = {
  readonly database: Database
  readonly now: () => Date
  readonly record: (event: Event) => Promise<unknown>
  /** A sign-in lives for an hour, too short to have habits: a user's sign-ins are one credential. */
  readonly isSession: (tokenId: string) => Promise<boolean>
  /** The network that an address is counted under. */
  readonly subnetOf: (remoteAddress: string) => string
  readonly log: { readonly error: (fields: object, message: string) => void }
  readonly everyMs?: number
}

const dayMs = 86_400_000
const keptMs = 90 * dayMs
/** Credentials per transaction. SQLite writes in the server's own thread, so a step must stay short. */
const step = 25

/**
 * Watches what each credential does and tells when it departs from its habits. Calls are only noted in memory; every half
 * minute they are merged into the stored baselines, where those of other processes are, too. A crash loses half a minute.
 */
export function makeUsage(parts: Parts) {
  const { database, now, log, everyMs = 30_000 } = parts
  const calls = makeCalls(parts)
  const credentialOf = makeCredentials(parts)
  let timer: NodeJS.Timeout | undefined
  let looking = Promise.resolve()
  let prunedAt = 0

  async function look(): Promise<void> {
    const grouped = new Map<string, Calls[]>()
    for (const one of calls.take()) {
      const credential = await credentialOf(one)
      grouped.set(credential, [...(grouped.get(credential) ?? []), one])
    }
    const groups = [...grouped]
    for (let i = 0; i < groups.length; i += step)
      await database.exclusive('usage', (tx) => merge(tx, groups.slice(i, i + step), now()))
    await report(parts)
    if (now().getTime() - prunedAt < dayMs) return
    await forgetBefore(database.db, new Date(now().getTime() - keptMs).toISOString())
    prunedAt = now().getTime()
  }

  /** Merges what was noted and records what departed. One look at a time. */
  function flush(): Promise<void> {
    const next = looking.then(look)
    looking = next.catch(() => {})
    return next
  }

  function flushOrLog(): Promise<void> {
    return flush().catch((error: unknown) => log.error({ err: error }, 'The usage of credentials was not looked at'))
  }

  return {
    note: calls.note,
    flush,
    start(): void {
      timer = setInterval(() => void flushOrLog(), everyMs)
      timer.unref()
    },
    /** Ends with what was noted last. */
    async stop(): Promise<void> {
      clearInterval(timer)
      await flushOrLog()
    },
    list: (filter: Filter) => list(database, filter),
    /** After what was noted of the principal is merged, so that it does not come back. */
    async forget(principal: string): Promise<void> {
      await flush()
      await forgetPrincipal(database.db, principal)
    },
  }
}

export type Usage = ReturnType<typeof makeUsage>

/** Whose habits a call belongs to: the token's, or the user's for a sign-in. What a token is never changes. */
function makeCredentials({ isSession }: Parts) {
  const known = new Map<string, boolean>()
  return async ({ tokenId, principal }: Calls): Promise<string> => {
    let session = known.get(tokenId)
    if (session === undefined) {
      session = await isSession(tokenId)
      const [oldest] = known.size >= 10_000 ? known.keys() : []
      if (oldest !== undefined) known.delete(oldest)
      known.set(tokenId, session)
    }
    return session ? principal.id : tokenId
  }
}

async function merge(tx: Db, groups: readonly (readonly [string, readonly Calls[]])[], at: Date): Promise<void> {
  const baselines = await readBaselines(
    tx,
    groups.map(([credential]) => credential),
  )
  for (const [credential, each] of groups) {
    let baseline = baselines.get(credential)
    for (const one of each) {
      const learned = learn(baseline, one)
      const usual = baseline && { since: new Date(baseline.firstAt).toISOString(), days: baseline.days }
      for (const departure of learned.departures)
        await addAnomaly(tx, anomalyRow(credential, one, { ...departure, usual: { ...usual, ...departure.usual } }, at))
      baseline = learned.baseline
    }
    if (baseline) await writeBaseline(tx, credential, baseline, at.toISOString())
  }
}

function anomalyRow(credential: string, { principal, tokenId }: Calls, departure: Departure, at: Date): AnomalyRow {
  return {
    id: newId('ano', at.getTime()),
    credential,
    kind: departure.kind,
    hour: new Date(departure.at).toISOString().slice(0, 13),
    principal_id: principal.id,
    principal_kind: principal.kind as 'user' | 'agent',
    token_id: tokenId,
    detected_at: at.toISOString(),
    seen: JSON.stringify(departure.seen),
    usual: JSON.stringify(departure.usual),
    recorded_at: null,
  }
}

/** Outside any transaction: the audit log has its own. What could not be recorded is tried again at the next look. */
async function report({ database: { db }, now, record }: Parts): Promise<void> {
  for (const row of await unrecorded(db, 100)) {
    if (!(await claimAnomaly(db, row.id, now().toISOString()))) continue
    try {
      await record(eventOf(row))
    } catch (error) {
      await releaseAnomaly(db, row.id)
      throw error
    }
  }
}

function eventOf(row: AnomalyRow): Event {
  const { id, kind, hour, seen, usual, credential, principal } = shown(row)
  return {
    code: 'anomaly.detected',
    principal: { ...principal, tokenId: row.token_id },
    resource: credential,
    detail: { anomaly: id, kind, hour, seen, usual },
  }
}

async function list({ db }: Database, filter: Filter) {
  const rows = await listAnomalies(db, { ...filter, limit: filter.limit + 1 })
  const items = rows.slice(0, filter.limit).map(shown)
  return { items, next: rows.length > filter.limit ? (items.at(-1)?.id ?? null) : null }
}

/** The texts in the row were written by this room, so they parse. */
function shown(row: AnomalyRow) {
  return {
    id: row.id,
    kind: row.kind,
    credential: { type: row.credential === row.token_id ? ('token' as const) : ('user' as const), id: row.credential },
    principal: { id: row.principal_id, kind: row.principal_kind satisfies Principal['kind'] },
    hour: `${row.hour}:00Z`,
    detectedAt: row.detected_at,
    seen: JSON.parse(row.seen) as Measure,
    usual: JSON.parse(row.usual) as Measure & { readonly since: string; readonly days: number },
  }
}
