import { setImmediate as pause } from 'node:timers/promises'
import { Problem } from '../../../core/problem.ts'
import type { Database, Db } from '../../../lib/db/database.ts'
import { newId } from '../../../lib/ids.ts'
import { compare, type Difference, isEmpty } from './diff.ts'
import { dayMs } from './evidence.ts'
import type { FindingRow } from './finding.ts'
import { connectionTarget, judgeAll, machineTarget, type Target, thingTarget } from './judge.ts'
import { makePlan, type Plan } from './plan.ts'
import type { Rule, Source } from './rule.ts'
import { choicesOf } from './rules.ts'
import { applyDifference, findActive, findByKeys, lastSeq } from './store.ts'
import { beat, claim, findingLock, finishEvaluation, forget, readRules, release, settle } from './store-run.ts'

export type EvaluateParts = {
  readonly database: Database
  readonly source: Source
  readonly rules: readonly Rule[]
  readonly now: () => Date
}

export type Evaluation = {
  machines: number
  things: number
  connections: number
  opened: number
  reopened: number
  changed: number
  resolved: number
  expired: number
  /** Not seen, but their witnesses are missing. */
  held: number
  /** Rules that could not judge, and why. */
  resting: { rule: string; because: string }[]
}

const leaseMs = 120_000
const beatMs = 10_000
const chunkSize = 1_000
const manyChanges = 1_000
const keptMs = 400 * dayMs

/**
 * Judges the whole estate once and writes what differs. One evaluation at a time over all processes, by a lease; each step is
 * a transaction of its own, so calls go on meanwhile and an interrupted evaluation leaves only true findings behind.
 * @throws Problem conflict while another one runs, cancelled when `signal` says so.
 */
export async function evaluate(parts: EvaluateParts, signal: AbortSignal): Promise<Evaluation> {
  const { database, now } = parts
  const owner = newId('evl', now().getTime())
  if (!(await claim(database, owner, now(), new Date(now().getTime() - leaseMs))))
    throw new Problem('conflict', 'Findings are being evaluated already')
  try {
    const result = await walk(parts, owner, signal)
    if (result.opened + result.resolved > manyChanges) await settle(database)
    await release(database.db, owner, { at: now(), result })
    return result
  } catch (error) {
    await release(database.db, owner)
    throw error
  }
}

type Walk = EvaluateParts & {
  readonly owner: string
  readonly signal: AbortSignal
  readonly plan: Plan
  readonly at: Date
  readonly judgedAt: (rule: string) => string | null
  /** Numbers of the findings whose thing was met: one bit each. */
  readonly met: Bits
  readonly result: Evaluation
  lastBeat: number
}

async function walk(parts: EvaluateParts, owner: string, signal: AbortSignal): Promise<Evaluation> {
  const { database, source, rules } = parts
  const at = parts.now()
  const [stored, connections, last] = await Promise.all([
    readRules(database.db),
    source.connections(),
    lastSeq(database.db),
  ])
  const plan = makePlan({ rules, choices: choicesOf(stored), connections, now: at })
  const judged = new Map(stored.map(({ rule, judged_at }) => [rule, judged_at]))
  const result = emptyResult(plan, connections.length)
  const judgedAt = (rule: string) => judged.get(rule) ?? null
  const one: Walk = { ...parts, owner, signal, plan, at, judgedAt, met: makeBits(last), result, lastBeat: at.getTime() }

  for await (const page of source.machines()) {
    await step(one, page.map(machineTarget))
    result.machines += page.length
  }
  for await (const page of source.things()) {
    await step(one, page.filter(({ staleAt }) => staleAt === null).map(thingTarget))
    result.things += page.length
  }
  for (let from = 0; from < connections.length; from += chunkSize)
    await step(one, connections.slice(from, from + chunkSize).map(connectionTarget))
  await sweep(one, last)
  await database.exclusive(findingLock, async (tx) => {
    await stayAlive(one, tx)
    await forget(tx, new Date(at.getTime() - keptMs))
    await finishEvaluation(
      database,
      tx,
      plan.judging.map(({ rule }) => rule.id),
      at,
    )
  })
  return result
}

/** Judges some targets. Nothing is locked or written unless something differs. */
async function step(one: Walk, targets: readonly Target[]): Promise<void> {
  await keepAlive(one)
  if (targets.length === 0) return
  const { database, plan, met } = one
  const byKey = new Map(targets.map((target) => [target.key, target]))
  const candidates = judgeAll(plan, byKey.values())
  const keys = [...byKey.keys()]
  const differenceTo = (rows: readonly FindingRow[]) => {
    for (const { seq } of rows) met.add(seq)
    return compare({ ...comparison(one), target: (key) => byKey.get(key) }, candidates, rows)
  }
  if (isEmpty(differenceTo(await findByKeys(database, database.db, keys)))) return
  await write(one, async (tx) => differenceTo(await findByKeys(database, tx, keys)))
}

/** Ends the findings whose thing was not met: it is no longer in the inventory. */
async function sweep(one: Walk, last: number): Promise<void> {
  const { database, met } = one
  for (let after = 0; after < last; ) {
    await keepAlive(one)
    const rows = await findActive(database.db, after, last, chunkSize)
    const end = rows.length === chunkSize ? (rows.at(-1)?.seq ?? last) : last
    const differenceTo = (found: readonly FindingRow[]) =>
      compare(
        { ...comparison(one), target: () => undefined },
        [],
        found.filter(({ seq }) => !met.has(seq)),
      )
    if (!isEmpty(differenceTo(rows)))
      await write(one, async (tx) => differenceTo(await findActive(tx, after, end, chunkSize)))
    after = end
  }
}

const comparison = ({ plan, at, judgedAt }: Walk) => ({ plan, now: at, judgedAt })

async function write(one: Walk, make: (tx: Db) => Promise<Difference>): Promise<void> {
  const { database, at, result } = one
  const difference = await database.exclusive(findingLock, async (tx) => {
    await stayAlive(one, tx)
    const made = await make(tx)
    await applyDifference(database, tx, made, at)
    return made
  })
  one.lastBeat = one.now().getTime()
  result.opened += difference.opened.length
  for (const { kind } of difference.updated) result[kind]++
}

async function keepAlive(one: Walk): Promise<void> {
  const { signal, database, now } = one
  await pause()
  if (signal.aborted) throw new Problem('cancelled', 'The evaluation was cancelled')
  if (now().getTime() - one.lastBeat < beatMs) return
  await stayAlive(one, database.db)
  one.lastBeat = now().getTime()
}

/** Renews the lease. */
async function stayAlive({ owner, now }: Walk, db: Db): Promise<void> {
  if (!(await beat(db, owner, now())))
    throw new Problem('conflict', 'Another evaluation took over, because this one was silent too long')
}

function emptyResult({ rules }: Plan, connections: number): Evaluation {
  const counts = { opened: 0, reopened: 0, changed: 0, resolved: 0, expired: 0, held: 0 }
  const resting = [...rules.values()].flatMap(({ rule, isOn, rests }) =>
    isOn && rests !== undefined ? [{ rule: rule.id, because: rests }] : [],
  )
  return { machines: 0, things: 0, connections, ...counts, resting }
}

type Bits = { readonly add: (n: number) => void; readonly has: (n: number) => boolean }

/** A set of whole numbers up to `last`, one bit each: a million findings are 125 kB. */
function makeBits(last: number): Bits {
  const bytes = new Uint8Array((last >> 3) + 1)
  return {
    add: (n) => {
      if (n <= last) bytes[n >> 3] = (bytes[n >> 3] ?? 0) | (1 << (n & 7))
    },
    has: (n) => ((bytes[n >> 3] ?? 0) & (1 << (n & 7))) !== 0,
  }
}
