import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '../../core/problem.ts'
import type { Database } from '../../lib/db/database.ts'
import { sizeOf } from './checkpoints.ts'
import type { makeCommitter } from './commit.ts'
import { draftOf } from './entry.ts'
import { prunedCode } from './event.ts'
import { LogDamaged } from './head.ts'
import type { makeProofs } from './proofs.ts'
import { checkSigned, type Declared, nothingPruned, readDeclared } from './pruned.ts'
import { checkAges } from './retention-check.ts'
import { eachDetail, isMore, makePlan, type PlanParts } from './retention-plan.ts'
import { dayMs, type Pruned } from './retention-policy.ts'
import type { makeStore } from './store.ts'
import type { StoreReader } from './store-read.ts'
import { deleteUnusedSubjects, makeRetentionStore, type RetentionStore } from './store-retention.ts'
import type { makeSubjects } from './subject.ts'
import { tileHash, tileWidth } from './tiles.ts'

type Parts = Omit<PlanParts, 'rows'> & {
  readonly database: Database
  readonly store: ReturnType<typeof makeStore>
  readonly reader: StoreReader
  readonly proofs: ReturnType<typeof makeProofs>
  readonly subjects: ReturnType<typeof makeSubjects>
  readonly committer: ReturnType<typeof makeCommitter>
  readonly vkey: string
  readonly isSigner: () => boolean
}

export type Retention = ReturnType<typeof makeRetention>
export type Applied = {
  readonly minimum: number
  readonly entries: number
  readonly details: number
  /** There is more; the next call goes on. */
  readonly more: boolean
  /** Why nothing was deleted although something is declared. */
  readonly waiting?: string
}

/** A call ends after this; what is left is done by the next. */
const runMs = 20_000
/** The schedule looks again after a fault, and when a witness is waited for. */
const retryMs = 600_000

/**
 * Deletes what the policy no longer keeps: sealed details by class, and entries below a minimum index. Both go in whole tiles. What goes
 * is first said by a signed entry of the log, so nothing can be deleted quietly, and a crash leaves what the next call completes.
 */
export function makeRetention(parts: Parts) {
  const { now, isSigner } = parts
  const rows = makeRetentionStore(parts.database)
  const plan = makePlan({ ...parts, rows })
  const run = makeRun(parts, rows, plan)
  let running = false
  let nextAt = Number.NEGATIVE_INFINITY

  return {
    /** One run. Throws `conflict` on a server that does not sign, and while another run is under way. */
    async apply({ requestId, signal }: { requestId: string; signal: AbortSignal }): Promise<Applied> {
      if (!isSigner()) throw new Problem('conflict', 'Another server signs the log, and applies its retention')
      if (running) throw new Problem('conflict', 'Retention is being applied already')
      running = true
      try {
        nextAt = now().getTime() + retryMs
        const done = await run(requestId, signal)
        if (done.more) nextAt = Number.NEGATIVE_INFINITY
        else if (done.waiting === undefined) nextAt = now().getTime() + dayMs
        return done
      } finally {
        running = false
      }
    },
    /** Whether the schedule has something to do: once a day, on the server that signs, when something would go. */
    async isDue(): Promise<boolean> {
      if (!isSigner() || running || now().getTime() < nextAt) return false
      nextAt = now().getTime() + retryMs
      if (await plan.isSomething(await plan.declared())) return true
      nextAt = now().getTime() + dayMs
      return false
    },
    /** The policy, what was done, and what would go now. Deletes nothing. */
    async status() {
      const declared = await plan.declared()
      const wanted = await plan.due(declared ?? nothingPruned)
      const first = (await rows.first()) ?? 0
      const { minimum, heldBy } = wanted
      return {
        keep: parts.keep,
        size: (await parts.reader.head())?.size ?? 0,
        first,
        ...(declared && { declared }),
        due: { minimum, entries: Math.max(0, minimum - first), details: await plan.count(wanted) },
        ...(heldBy !== undefined && { heldBy }),
      }
    },
  }
}

function makeRun(parts: Parts, rows: RetentionStore, plan: ReturnType<typeof makePlan>) {
  const { now, proofs, vkey } = parts
  const remove = makeRemover(parts, rows)

  /** Says in the log what goes. In the same transaction go the ties to principals that no entry needs any more. */
  async function declare(pruned: Pruned, requestId: string): Promise<void> {
    const draft = draftOf({ code: prunedCode, requestId, pruned }, now().toISOString())
    await parts.committer.add(draft, async (writer) => {
      await deleteUnusedSubjects(writer.reader)
      parts.subjects.drop()
    })
  }

  return async function run(requestId: string, signal: AbortSignal): Promise<Applied> {
    const known = (await plan.declared()) ?? nothingPruned
    const { heldBy: _heldBy, ...wanted } = await plan.due(known)
    const signed = await parts.checkpoint()
    if (signed !== undefined && isMore(wanted, known)) {
      const before = new Date(now().getTime() - Math.min(...Object.values(parts.keep)) * dayMs).toISOString()
      await checkAges(known, wanted, { ...parts, rows, checkpoint: signed, before })
      await declare(wanted, requestId)
    }
    const row = await rows.newestPruned()
    const said = readDeclared(row)
    if (!row || !said) return { minimum: 0, entries: 0, details: 0, more: false }
    const checkpoint = await parts.checkpoint()
    if (checkpoint === undefined || sizeOf(checkpoint) <= row.index) {
      const waiting = `Entry ${row.index} says what goes, but the witnesses have not cosigned it yet`
      return { minimum: said.minimum, entries: 0, details: 0, more: false, waiting }
    }
    await checkSigned(row, { checkpoint, vkey, proofs })
    return { minimum: said.minimum, ...(await remove(said, signal)) }
  }
}

function makeRemover({ reader, store }: Parts, rows: RetentionStore) {
  return async function remove(said: Declared, signal: AbortSignal): Promise<Omit<Applied, 'minimum'>> {
    const end = performance.now() + runMs
    const isOver = () => signal.aborted || performance.now() > end
    const entries = await removeEntries(said.minimum, isOver)
    const details = isOver() ? 0 : await removeDetails(said, isOver)
    if (entries + details > 0) await store.scrub()
    return { entries, details, more: isOver() }
  }

  /** As long a pause as the work took: those who append get at least half of the time. */
  async function inTurns<T>(work: () => Promise<T>): Promise<T> {
    const began = performance.now()
    const done = await work()
    await sleep(Math.max(1, performance.now() - began))
    return done
  }

  async function removeEntries(minimum: number, isOver: () => boolean): Promise<number> {
    const first = (await rows.first()) ?? 0
    let at = first
    for (; at < minimum && !isOver(); at += tileWidth) {
      const start = at
      await inTurns(() => removeTile(start))
    }
    return at - first
  }

  async function removeTile(start: number): Promise<void> {
    // What was damaged is evidence: it stays until a person has looked.
    const [node] = await reader.hashes(1, start / tileWidth, 1)
    const end = start + tileWidth
    if (!node?.equals(tileHash(await reader.leaves(start, tileWidth))))
      throw new LogDamaged(`the entries ${start}–${end - 1} are not those that were signed, and were not deleted`)
    await rows.deleteBelow(end)
  }

  async function removeDetails(said: Declared, isOver: () => boolean): Promise<number> {
    let removed = 0
    let reached = 0
    await eachDetail(rows, said, async (end, found) => {
      if (found.length > 0) await inTurns(() => rows.deleteDetails(found.map(({ index }) => index)))
      removed += found.length
      reached = end
      return !isOver()
    })
    await note(said, reached)
    return removed
  }

  async function note({ details }: Declared, end: number): Promise<void> {
    const done = await rows.done()
    for (const [name, cut] of Object.entries(details))
      if (Math.min(cut, end) > (done.get(name) ?? 0)) await rows.note(name, Math.min(cut, end))
  }
}
