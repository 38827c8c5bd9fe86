import { setImmediate } from 'node:timers/promises'
import { sizeOf } from './checkpoints.ts'
import { cutOf, type Declared, nothingPruned, readDeclared } from './pruned.ts'
import { classOf, type DetailClass, dayMs, detailClasses, type Keep, type Pruned } from './retention-policy.ts'
import type { RetentionStore } from './store-retention.ts'
import { tileWidth } from './tiles.ts'

/** Somebody who still needs entries from an index on: a witness that has not seen more, a sink that lags. */
export type Hold = { readonly by: string; readonly from: number }

export type PlanParts = {
  readonly rows: RetentionStore
  readonly keep: Keep
  /** The newest checkpoint that counts: with the cosignatures of the policy when there is one. Undefined: none does yet. */
  readonly checkpoint: () => Promise<string | undefined>
  readonly holds: () => Promise<readonly Hold[]>
  readonly now: () => Date
}

const pageEntries = 4 * tileWidth

/** What retention would delete now, and what is left of what it said it would. Reads only. */
export function makePlan({ rows, keep, checkpoint, holds, now }: PlanParts) {
  /** What the policy lets go now, at least what was declared before. */
  async function due(known: Pruned): Promise<Pruned & { readonly heldBy?: string }> {
    const note = await checkpoint()
    const signed: Hold = { by: 'the last signed checkpoint', from: note === undefined ? 0 : sizeOf(note) }
    const hold = [signed, ...(await holds())].reduce((a, b) => (b.from < a.from ? b : a))
    const ceiling = Math.floor(hold.from / tileWidth) * tileWidth
    const before = (days: number) => new Date(now().getTime() - days * dayMs).toISOString()
    let isHeld = false as boolean
    const reach = async (from: number, days: number | undefined) => {
      const end = days === undefined ? from : await olderThan(rows, from, before(days))
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

  return {
    due,
    declared: async (): Promise<Declared | undefined> => readDeclared(await rows.newestPruned()),
    /** Whether there is anything to declare or to delete. */
    async isSomething(known: Pruned = nothingPruned): Promise<boolean> {
      return (Object.keys(keep).length > 0 && isMore(await due(known), known)) || (await isLeft(rows, known))
    },
    /** How many sealed details would go, by class, without those that go with their entries. */
    async count(wanted: Pruned): Promise<Partial<Record<DetailClass, number>>> {
      const counts: Partial<Record<DetailClass, number>> = {}
      await eachDetail(rows, wanted, async (_end, found) => {
        for (const { name } of found) counts[name] = (counts[name] ?? 0) + 1
        return true
      })
      return counts
    },
  }
}

export function isMore(wanted: Pruned, known: Pruned): boolean {
  return wanted.minimum > known.minimum || detailClasses.some((name) => cutOf(wanted, name) > cutOf(known, name))
}

/** The end of the last full tile from `from` on whose entries are all older than a time. */
async function olderThan(rows: RetentionStore, from: number, time: string): Promise<number> {
  const accepted = await rows.clockAcceptedBefore(time)
  for (let at = from; ; at += pageEntries) {
    const times = await rows.times(at, at + pageEntries)
    const young = times.find((one) => one.index > accepted && one.at >= time)
    if (young || times.length < pageEntries)
      return Math.max(from, Math.floor((young?.index ?? at + times.length) / tileWidth) * tileWidth)
    await setImmediate()
  }
}

/** Whether a run that was declared did not end. */
async function isLeft(rows: RetentionStore, known: Pruned): Promise<boolean> {
  const first = await rows.first()
  if (first !== undefined && first < known.minimum) return true
  const done = await rows.done()
  return detailClasses.some((name) => (known.details[name] ?? 0) > Math.max(done.get(name) ?? 0, known.minimum))
}

/** Walks the details that a declaration lets go, a stretch at a time, until `use` says that it is enough. */
export async function eachDetail(
  rows: RetentionStore,
  { minimum, details }: Pruned,
  use: (end: number, found: readonly { index: number; name: DetailClass }[]) => Promise<boolean>,
): Promise<void> {
  const done = await rows.done()
  const open = detailClasses.filter((name) => (details[name] ?? 0) > (done.get(name) ?? 0))
  const start = Math.max(minimum, Math.min(...open.map((name) => done.get(name) ?? 0)))
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
