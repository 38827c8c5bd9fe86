import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '../../core/problem.ts'
import type { Database } from '../../lib/db/database.ts'
import { sizeOf } from './checkpoints.ts'
import type { makeCommitter } from './commit.ts'
import { draftOf } from './entry.ts'
import { prunedCode } from './event.ts'
import { LogDamaged } from './head.ts'
import type { makeProofs } from './proofs.ts'
import { checkSigned, cutOf, type Declared, nothingPruned, readDeclared } from './pruned.ts'
import { classOf, type DetailClass, dayMs, detailClasses, type Keep, type Pruned } from './retention-policy.ts'
import type { makeStore } from './store.ts'
import type { StoreReader } from './store-read.ts'
import { deleteUnusedSubjects, makeRetentionStore } from './store-retention.ts'
import type { makeSubjects } from './subject.ts'
import { tileHash, tileWidth } from './tiles.ts'

/** Somebody who still needs entries from an index on: a witness that has not seen more, a sink that lags. */
export type Hold = { readonly by: string; readonly from: number }

type Parts = {
  readonly database: Database
  readonly store: ReturnType<typeof makeStore>
  readonly reader: StoreReader
  readonly proofs: ReturnType<typeof makeProofs>
  readonly subjects: ReturnType<typeof makeSubjects>
  readonly committer: ReturnType<typeof makeCommitter>
  readonly vkey: string
  readonly keep: Keep
  readonly isSigner: () => boolean
  /** The newest checkpoint that counts: with the cosignatures of the policy when there is one. Undefined: none does yet. */
  readonly checkpoint: () => Promise<string | undefined>
  readonly holds: () => Promise<readonly Hold[]>
  readonly now: () => Date
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

const pageEntries = 4 * tileWidth
/** A call ends after this; what is left is done by the next. */
const runMs = 20_000
/** Between two transactions, so that those who wait to append come first. */
const pauseMs = 2
/** The schedule looks again after a fault, and when a witness is waited for. */
const retryMs = 600_000

/**
 * Deletes what the policy no longer keeps: sealed details by class, and entries below a minimum index. Both go in whole tiles. What goes
 * is first said by a signed entry of the log, so nothing can be deleted quietly, and a crash leaves what the next call completes.
 */
export function makeRetention(parts: Parts) {
  const { reader, keep, now, isSigner } = parts
  const rows = makeRetentionStore(parts.database)
  const find = makeFinder(rows)
  const remove = makeRemover(parts, rows)
  let running = false
  let nextAt = Number.NEGATIVE_INFINITY

  const declared = async (): Promise<Declared | undefined> => readDeclared(await rows.newestPruned())

  /** What the policy lets go now, at least what was declared before. */
  async function due(known: Pruned): Promise<Pruned & { readonly heldBy?: string }> {
    const note = await parts.checkpoint()
    const signed: Hold = { by: 'the last signed checkpoint', from: note === undefined ? 0 : sizeOf(note) }
    const hold = [signed, ...(await parts.holds())].reduce((a, b) => (b.from < a.from ? b : a))
    const ceiling = Math.floor(hold.from / tileWidth) * tileWidth
    const before = (days: number) => new Date(now().getTime() - days * dayMs).toISOString()
    let isHeld = false as boolean
    const reach = async (from: number, days: number | undefined) => {
      const end = days === undefined ? from : await find.olderThan(from, before(days))
      isHeld ||= end > Math.max(ceiling, from)
      return Math.max(from, Math.min(end, ceiling))
    }
    const minimum = await reach(known.minimum, keep.entries)
    const details: Partial<Record<DetailClass, number>> = { ...known.details }
    for (const name of detailClasses) {
      const end = await reach(cutOf({ ...known, minimum }, name), keep[name])
      if (keep[name] !== undefined && end > minimum) details[name] = end
    }
    return { minimum, details, keep, ...(isHeld && { heldBy: hold.by }) }
  }

  /** Says in the log what goes. In the same transaction go the ties to principals that no entry needs any more. */
  async function declare(pruned: Pruned, requestId: string): Promise<void> {
    const draft = draftOf({ code: prunedCode, requestId, pruned }, now().toISOString())
    await parts.committer.add(draft, async (writer) => {
      await deleteUnusedSubjects(writer.reader)
      parts.subjects.drop()
    })
  }

  async function run(requestId: string, signal: AbortSignal): Promise<Applied> {
    const known = (await declared()) ?? nothingPruned
    const { heldBy: _heldBy, ...wanted } = await due(known)
    if (isMore(wanted, known)) await declare(wanted, requestId)
    const row = await rows.newestPruned()
    const said = readDeclared(row)
    if (!row || !said) return { minimum: 0, entries: 0, details: 0, more: false }
    const note = await parts.checkpoint()
    if (note === undefined || sizeOf(note) <= row.index) {
      const waiting = `Entry ${row.index} says what goes, but the witnesses have not cosigned it yet`
      return { minimum: said.minimum, entries: 0, details: 0, more: false, waiting }
    }
    await checkSigned(row, { checkpoint: note, vkey: parts.vkey, proofs: parts.proofs })
    return { minimum: said.minimum, ...(await remove(said, signal)) }
  }

  return {
    keep,
    declared,
    /**
     * One run. Throws `conflict` on a server that does not sign, and while another run is under way.
     */
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
      const known = (await declared()) ?? nothingPruned
      const isSomething = Object.keys(keep).length > 0 && isMore(await due(known), known)
      if (isSomething || (await find.isLeft(known))) return true
      nextAt = now().getTime() + dayMs
      return false
    },
    /** The policy, what was done, and what would go now. Deletes nothing. */
    async status() {
      const known = await declared()
      const base = known ?? nothingPruned
      const wanted = await due(base)
      const first = (await rows.first()) ?? 0
      return {
        keep,
        size: (await reader.head())?.size ?? 0,
        first,
        ...(known && { declared: known }),
        due: {
          minimum: wanted.minimum,
          entries: Math.max(0, wanted.minimum - first),
          details: await find.count(wanted),
        },
        ...(wanted.heldBy !== undefined && { heldBy: wanted.heldBy }),
      }
    },
  }
}

function isMore(wanted: Pruned, known: Pruned): boolean {
  return wanted.minimum > known.minimum || detailClasses.some((name) => cutOf(wanted, name) > cutOf(known, name))
}

type Rows = ReturnType<typeof makeRetentionStore>

function makeFinder(rows: Rows) {
  return {
    /** The end of the last full tile from `from` on whose entries are all older than a time. */
    async olderThan(from: number, time: string): Promise<number> {
      const accepted = await rows.clockAcceptedBefore(time)
      for (let at = from; ; at += pageEntries) {
        const times = await rows.times(at, at + pageEntries)
        const young = times.find((one) => one.index > accepted && one.at >= time)
        if (young || times.length < pageEntries)
          return Math.max(from, Math.floor((young?.index ?? at + times.length) / tileWidth) * tileWidth)
        await setImmediate()
      }
    },
    /** Whether a run that was declared did not end. */
    async isLeft(known: Pruned): Promise<boolean> {
      const first = await rows.first()
      if (first !== undefined && first < known.minimum) return true
      const done = await rows.done()
      return detailClasses.some((name) => (known.details[name] ?? 0) > Math.max(done.get(name) ?? 0, known.minimum))
    },
    /** How many sealed details would go, by class, without those that go with their entries. */
    async count(wanted: Pruned): Promise<Partial<Record<DetailClass, number>>> {
      const counts: Partial<Record<DetailClass, number>> = {}
      await eachDetail(rows, wanted, await startOf(rows, wanted), async (_end, found) => {
        for (const { name } of found) counts[name] = (counts[name] ?? 0) + 1
        return true
      })
      return counts
    },
  }
}

/** Where the lowest class has something to do. */
async function startOf(rows: Rows, { minimum, details }: Pruned): Promise<number> {
  const done = await rows.done()
  const open = detailClasses.filter((name) => (details[name] ?? 0) > (done.get(name) ?? 0))
  return Math.max(minimum, Math.min(...open.map((name) => done.get(name) ?? 0)))
}

/** Walks the details that a declaration lets go, a stretch at a time, until `use` says that it is enough. */
async function eachDetail(
  rows: Rows,
  { details }: Pruned,
  start: number,
  use: (end: number, found: readonly { index: number; name: DetailClass }[]) => Promise<boolean>,
): Promise<void> {
  const end = Math.max(0, ...Object.values(details))
  for (let at = start; at < end; at += tileWidth) {
    const leaves = await rows.detailed(at, at + tileWidth)
    const found = leaves
      .map(({ index, leaf }) => ({ index, name: classOf(JSON.parse(leaf.toString('utf8'))) }))
      .filter(({ index, name }) => index < (details[name] ?? 0))
    if (!(await use(at + tileWidth, found))) return
    await setImmediate()
  }
}

function makeRemover({ reader, store }: Parts, rows: Rows) {
  return async function remove(said: Declared, signal: AbortSignal): Promise<Omit<Applied, 'minimum'>> {
    const end = performance.now() + runMs
    const isOver = () => signal.aborted || performance.now() > end
    const entries = await removeEntries(said.minimum, isOver)
    const details = isOver() ? 0 : await removeDetails(said, isOver)
    if (entries + details > 0) await store.scrub()
    return { entries, details, more: isOver() }
  }

  async function removeEntries(minimum: number, isOver: () => boolean): Promise<number> {
    const first = (await rows.first()) ?? 0
    let at = first
    for (; at < minimum && !isOver(); at += tileWidth) {
      // What was damaged is evidence: it stays until a person has looked.
      const [node] = await reader.hashes(1, at / tileWidth, 1)
      if (!node?.equals(tileHash(await reader.leaves(at, tileWidth))))
        throw new LogDamaged(
          `the entries ${at}–${at + tileWidth - 1} are not those that were signed, and were not deleted`,
        )
      await rows.deleteBelow(at + tileWidth)
      await sleep(pauseMs)
    }
    return at - first
  }

  async function removeDetails(said: Declared, isOver: () => boolean): Promise<number> {
    let removed = 0
    let reached = 0
    await eachDetail(rows, said, await startOf(rows, said), async (end, found) => {
      await rows.deleteDetails(found.map(({ index }) => index))
      removed += found.length
      reached = end
      if (found.length > 0) await sleep(pauseMs)
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
