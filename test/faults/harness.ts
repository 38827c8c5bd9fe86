import assert from 'node:assert/strict'
import { sql } from 'kysely'
import { z } from 'zod'
import { defineAction, type Principal } from '../../src/core/action.ts'
import { Problem } from '../../src/core/problem.ts'
import { openLog } from '../../src/features/audit/log.ts'
import { makeCatalog } from '../../src/gate/catalog.ts'
import { type Call, makeInvoke } from '../../src/gate/invoke.ts'
import type { Database } from '../../src/lib/db/database.ts'
import { newId } from '../../src/lib/ids.ts'
import { testRootKey } from '../../src/testing/databases.ts'

/**
 * AUD-1: whatever fails, wherever: no effect without its entry, and no answer without its entry. The real gate calls an action that changes
 * something and answers a secret; the real log writes to a real database in which something breaks at a random place.
 */
type Fault = (typeof faults)[number]
const faults = [
  'before the transaction',
  'inside the transaction',
  'at the commit',
  'after the commit',
  'read-only',
  'disk full',
  'connection lost',
  'the action fails',
] as const

export type Report = {
  readonly faults: number
  readonly struck: Readonly<Record<string, number>>
  readonly effects: number
  readonly answers: number
  readonly refused: number
}

const lanes = 6

/** `count` faults that struck, each under several calls at once. `random` gives numbers in [0, 1), so that a run can be repeated. */
export async function strike(database: Database, count: number, random: () => number): Promise<Report> {
  const plan = makePlan(database, random)
  const log = await openLog({ database: plan.database, rootKey: testRootKey, now: () => new Date() })
  const effects = new Set<string>()
  const answers = new Map<string, string>()
  const { invoke } = makeGate(log.append, effects, plan)
  const struck: Record<string, number> = {}
  let refused = 0
  for (let done = 0; done < count; ) {
    const fault = faults[Math.floor(random() * faults.length)] as Fault
    await plan.arm(fault)
    const results = await Promise.all(
      Array.from({ length: lanes }, async () => {
        const requestId = newId('req')
        try {
          const answer = await invoke(callOf(requestId), 'x.thing.change', { id: '1' })
          answers.set(requestId, JSON.stringify(answer))
          return 0
        } catch (error) {
          assert.ok(error instanceof Problem, String(error))
          assert.doesNotMatch(JSON.stringify({ ...error, message: error.message }), /secret-of/)
          return 1
        }
      }),
    )
    refused += results.filter((one) => one === 1).length
    if (!(await plan.disarm())) continue
    struck[fault] = (struck[fault] ?? 0) + 1
    done += 1
  }
  await log.append({ code: 'server.stopped' })
  await log.close()
  await holdAgainstLog(database, effects, answers)
  return { faults: count, struck, effects: effects.size, answers: answers.size, refused }
}

/** Every effect has the entry that precedes it, and every answer the entry that permits it to leave. */
async function holdAgainstLog(database: Database, effects: ReadonlySet<string>, answers: ReadonlyMap<string, string>) {
  const { rows } = await sql<{ leaf: Buffer }>`select leaf from audit_entry order by idx`.execute(database.db)
  const [started, succeeded] = [new Set<string>(), new Set<string>()]
  for (const { leaf } of rows) {
    const { code, requestId } = JSON.parse(leaf.toString('utf8')) as { code: string; requestId?: string }
    if (code === 'action.started') started.add(requestId ?? '')
    if (code === 'action.succeeded') succeeded.add(requestId ?? '')
  }
  assert.deepEqual(
    [...effects].filter((id) => !started.has(id)),
    [],
    'effects without an entry',
  )
  assert.deepEqual(
    [...answers.keys()].filter((id) => !succeeded.has(id)),
    [],
    'answers without an entry',
  )
  assert.deepEqual(
    [...answers].filter(([id, text]) => !effects.has(id) || !text.includes(`secret-of-${id}`)),
    [],
  )
}

function makeGate(append: (event: never) => Promise<unknown>, effects: Set<string>, plan: ReturnType<typeof makePlan>) {
  const action = defineAction({
    name: 'x.thing.change',
    title: 'Change',
    description: 'Changes it.',
    access: 'reveal',
    http: { method: 'POST', path: '/x' },
    input: z.strictObject({ id: z.string() }),
    output: z.object({ value: z.string() }),
    resource: ({ id }) => ({ type: 'thing', id }),
    run: async (_input, { requestId }) => {
      effects.add(requestId)
      await plan.between()
      return { value: `secret-of-${requestId}` }
    },
  })
  const invoke = makeInvoke({
    catalog: makeCatalog([action]),
    resolve: async (resource) => ({ resource }),
    note: () => {},
    whyClosed: async () => undefined,
    limit: () => ({ limit: 1, remaining: 1, resetSeconds: 1, windowSeconds: 60 }),
    decide: () => ({ effect: 'permit', reason: 'the test', policies: [], version: '1' }),
    hashInput: () => '',
    approvals: { find: async () => undefined, request: async () => '', redeem: async () => false },
    open: async () => {
      throw new Problem('not-found')
    },
    redact: (value) => value,
    record: append as (event: unknown) => Promise<unknown>,
    recordRefusal: append as (event: unknown) => Promise<unknown>,
    onBug: () => {},
  })
  return { invoke }
}

const principal: Principal = { id: newId('usr'), kind: 'user', name: 'Ada', bindings: [], version: '1' }

function callOf(requestId: string): Call {
  return { door: 'http', principal, requestId, signal: new AbortController().signal }
}

/** The database with a fault in it: armed for one round, at a transaction or statement chosen at random. */
function makePlan(database: Database, random: () => number) {
  let fault: Fault | undefined
  let countdown = 0
  let hit = false
  const due = (...kinds: Fault[]): boolean => {
    if (fault === undefined || !kinds.includes(fault) || countdown-- > 0) return false
    hit = true
    return true
  }
  const wrapped: Database = {
    ...database,
    async exclusive(name, run) {
      if (due('before the transaction')) throw new Error('planned: before')
      const result = await database.exclusive(name, async (tx) => {
        const spoiled = due('inside the transaction')
        if (due('read-only')) await refuseWrites(database, tx as never)
        if (due('disk full')) await fillDisk(database, tx as never)
        if (due('connection lost')) await loseConnection(database, tx as never)
        const value = await run(spoiled ? spoil(tx, random) : tx)
        if (due('at the commit')) throw new Error('planned: commit')
        return value
      })
      if (due('after the commit')) throw new Error('planned: the acknowledgement is lost')
      return result
    },
  }
  return {
    database: wrapped,
    async arm(next: Fault): Promise<void> {
      fault = next
      hit = false
      // The entries of the beginning and of the end fall into different transactions.
      countdown = Math.floor(random() * 4)
    },
    /** Between the effect and the entry of its end. */
    async between(): Promise<void> {
      await new Promise((resolve) => setImmediate(resolve))
      if (due('the action fails')) throw new Error('planned: the action')
    },
    /** True when the fault struck. */
    async disarm(): Promise<boolean> {
      const struck = hit
      fault = undefined
      await mend(database)
      return struck
    },
  }
}

/** A transaction whose n-th statement fails. */
function spoil<T extends object>(tx: T, random: () => number): T {
  let left = 1 + Math.floor(random() * 4)
  const wrap = <V extends object>(value: V): V =>
    new Proxy(value, {
      get(target, name, receiver) {
        const member = Reflect.get(target, name, receiver)
        if (name === 'withTables') return () => wrap(target)
        if (name === 'executeQuery' || name === 'insertInto' || name === 'updateTable')
          return (...args: unknown[]) => {
            left -= 1
            if (left <= 0) throw new Error('planned: a statement')
            return (member as (...all: unknown[]) => unknown).apply(target, args)
          }
        return typeof member === 'function' ? member.bind(target) : member
      },
    })
  return wrap(tx)
}

async function refuseWrites({ dialect }: Database, tx: Database['db']): Promise<void> {
  await sql.raw(dialect === 'sqlite' ? 'pragma query_only = on' : 'set transaction read only').execute(tx)
}

async function fillDisk({ dialect }: Database, tx: Database['db']): Promise<void> {
  if (dialect === 'sqlite') {
    const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(tx)
    // As much as there is, and not a page more; what fits into free space still does.
    await sql.raw(`pragma max_page_count = ${rows[0]?.page_count ?? 1}`).execute(tx)
    await sql`create table filler as select randomblob(100000) as x`.execute(tx)
  } else await sql`select 1 / 0`.execute(tx)
}

async function loseConnection({ dialect }: Database, tx: Database['db']): Promise<void> {
  if (dialect === 'sqlite') throw new Error('planned: the connection is lost')
  await sql`select pg_terminate_backend(pg_backend_pid())`.execute(tx)
}

async function mend({ dialect, db }: Database): Promise<void> {
  if (dialect !== 'sqlite') return
  await sql.raw('pragma query_only = off').execute(db)
  await sql.raw('pragma max_page_count = 1073741823').execute(db)
}

/** Mulberry32: small, and the same on every machine. */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
