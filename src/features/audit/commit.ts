import type { KeyObject } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { Problem } from '../../core/problem.ts'
import { leafHash, makeCompactRange } from '../../lib/merkle.ts'
import { type Draft, leafOf, type Placement } from './entry.ts'
import { type Head, LogDamaged, type makeHeads } from './head.ts'
import type { EntryRow, makeStore, NodeRow, PayloadRow, Writer } from './store.ts'
import { drawSalts, type makeSubjects, type Subject, sealPayload } from './subject.ts'

type Parts = {
  readonly store: ReturnType<typeof makeStore>
  readonly heads: ReturnType<typeof makeHeads>
  readonly subjects: ReturnType<typeof makeSubjects>
  readonly size: number
  readonly onFatal: (error: Error) => void
}

type Waiting = {
  readonly draft: Draft
  /** Done in the same transaction as the entry; such an entry is committed alone. */
  readonly also: ((writer: Writer) => Promise<void>) | undefined
  /** The root key that `also` has put the log under. */
  readonly rootKey: KeyObject | undefined
  readonly resolve: (place: { index: number }) => void
  readonly reject: (problem: Problem) => void
}

// One transaction holds SQLite's single connection; this many entries take it for some 100 ms at worst.
const maxBatch = 1024

/**
 * Group commit: what is appended while a transaction runs shares the next one. There is no timer; a lone append is
 * written in the same turn of the event loop. Each promise settles after the commit, and a failed transaction rejects
 * exactly the appends that were in it.
 */
export function makeCommitter({ store, heads, subjects, size, onFatal }: Parts) {
  const waiting: Waiting[] = []
  let committed = size
  let flushing: Promise<void> | undefined
  let damage: LogDamaged | undefined
  let closed = false

  function add(draft: Draft, also?: Waiting['also'], rootKey?: KeyObject): Promise<{ index: number }> {
    if (closed || damage) return Promise.reject(refusal(damage))
    return new Promise((resolve, reject) => {
      waiting.push({ draft, also, rootKey, resolve, reject })
      flushing ??= flush()
    })
  }

  async function flush(): Promise<void> {
    while (waiting.length > 0) {
      // Every request that the event loop has already read gets its append in before the transaction starts.
      await setImmediate()
      await commit(nextBatch(waiting))
    }
    flushing = undefined
  }

  async function commit(batch: readonly Waiting[]): Promise<void> {
    try {
      const first = await store.write((writer) => write(writer, batch))
      committed = first + batch.length
      for (const [i, { resolve }] of batch.entries()) resolve({ index: first + i })
    } catch (error) {
      // Subjects made in the lost transaction do not exist; the next flush reads head and subjects afresh.
      subjects.drop()
      if (error instanceof LogDamaged) stop(error)
      for (const { reject } of batch) reject(refusal(error))
    }
  }

  async function write(writer: Writer, batch: readonly Waiting[]): Promise<number> {
    const head = heads.read(await writer.lockHead())
    if (head.size < committed) throw new LogDamaged(`the log of ${committed} entries was cut to ${head.size}`)
    // Another process wrote: it may have forgotten a subject whose key is still cached here.
    if (head.size !== committed) subjects.drop()
    const drafts = batch.map(({ draft }) => draft)
    const rows = place(drafts, head, await subjects.resolve(principalsOf(drafts), writer.subjects, head.rootKey))
    await writer.insertEntries(rows.entries)
    await writer.insertPayloads(rows.payloads)
    await writer.insertNodes(rows.nodes)
    for (const { also } of batch) await also?.(writer)
    const rootKey = batch[0]?.rootKey ?? head.rootKey
    if (!(await writer.moveHead(head.size, heads.write({ ...rows.head, rootKey }))))
      throw new Error('another writer moved the head of the log')
    return head.size
  }

  function stop(error: LogDamaged): void {
    if (damage) return
    damage = error
    for (const { reject } of waiting.splice(0)) reject(refusal(error))
    onFatal(error)
  }

  return {
    add,
    stop,
    size: () => committed,
    /** Writes what is waiting, then takes nothing more. */
    async close(): Promise<void> {
      closed = true
      await flushing
    },
  }
}

/** What is waiting, in order; an entry with an act of its own stays alone. */
function nextBatch(waiting: Waiting[]): Waiting[] {
  const special = waiting.findIndex(({ also }) => also)
  return waiting.splice(0, special === 0 ? 1 : Math.min(special > 0 ? special : waiting.length, maxBatch))
}

/** Gives drafts their places behind `head`: rows to insert, and the head that follows. */
function place(drafts: readonly Draft[], head: Head, subjects: ReadonlyMap<string, Subject>) {
  const range = makeCompactRange(head.size, head.edge)
  const entries: EntryRow[] = []
  const payloads: PayloadRow[] = []
  const nodes: NodeRow[] = []
  const salt = drawSalts(drafts.length)
  for (const [i, draft] of drafts.entries()) {
    const idx = range.size()
    const subject = subjects.get(draft.principalId ?? '')
    const sealed =
      draft.payload !== undefined && subject ? sealPayload(subject, idx, draft.payload, salt(i)) : undefined
    if (sealed) payloads.push({ idx, salt: sealed.salt, box: sealed.box })
    const placement = placementOf(draft, idx, subjects, sealed?.commit)
    const leaf = leafOf(draft, placement)
    const hash = leafHash(leaf)
    entries.push({ idx, ...columnsOf(draft.words, placement), leaf, hash })
    range.append(hash, ({ level, index }, node) => {
      if (level % 8 === 0) nodes.push({ level: level / 8, idx: index, hash: node })
    })
  }
  return { entries, payloads, nodes, head: { ...head, size: range.size(), edge: range.hashes() } }
}

function placementOf(
  { principalId, onBehalfOf, resource }: Draft,
  seq: number,
  subjects: ReadonlyMap<string, Subject>,
  payloadCommit: string | undefined,
): Placement {
  const pseudonym = (id: string) => subjects.get(id)?.id as string
  const resourceId = resource?.personal ? pseudonym(resource.id as string) : resource?.id
  return {
    seq,
    ...(principalId !== undefined && { subject: pseudonym(principalId) }),
    ...(onBehalfOf !== undefined && { onBehalfOf: pseudonym(onBehalfOf) }),
    ...(resource && { resource: { type: resource.type, ...(resourceId !== undefined && { id: resourceId }) } }),
    ...(payloadCommit !== undefined && { payloadCommit }),
  }
}

/** The leaf's words by which entries are searched. verify-log.ts holds the stored ones against the leaf. */
export function columnsOf(words: Readonly<Record<string, unknown>>, placement: Omit<Placement, 'seq'>) {
  const text = (value: unknown) => (typeof value === 'string' ? value : null)
  return {
    at: String(words['at']),
    code: String(words['code']),
    subject: text(placement.subject),
    behalf: text(placement.onBehalfOf),
    action: text(words['action']),
    resource_type: text(placement.resource?.type),
    resource_id: text(placement.resource?.id),
    outcome: text(words['outcome']),
  }
}

function principalsOf(drafts: readonly Draft[]): Set<string> {
  const ids = drafts.flatMap(({ principalId, onBehalfOf, resource }) => [
    principalId,
    onBehalfOf,
    resource?.personal ? resource.id : undefined,
  ])
  return new Set(ids.filter((id) => id !== undefined))
}

function refusal(cause: unknown): Problem {
  return new Problem('audit-unavailable', undefined, { cause })
}
