import { Problem } from '../../../core/problem.ts'
import type { Secret } from '../../../core/secret.ts'
import { parseReference, type Reference, type ReferenceOf, referenceRule, type Scheme } from './reference.ts'
import { type Document, type Source, Unreadable } from './source.ts'

/** How long a value that was read is used before it is read again. */
export const keepMs = 60_000
/** Even when a value may be out of date, it is not read anew more often than this. */
export const patienceMs = 5_000
/** Documents kept at the same time. */
const most = 1_000
const tendMs = 10_000

export type Sources = { readonly [S in Scheme]?: Source<ReferenceOf<S>> }
export type References = ReturnType<typeof makeReferences>

type Entry = { readonly at: number; readonly reading: Promise<Document>; goodUntil: number }
/** A value, and when it was made where its place tells that. */
export type Read = { readonly value: Secret; readonly changedAt: string | undefined }

/**
 * Reads what references lead to, from the kinds of places that the operator allowed. Values are kept in memory for a minute;
 * failures are not kept, and no older value stands in for one that cannot be read.
 */
export function makeReferences({ sources, now }: { readonly sources: Sources; readonly now: () => Date }) {
  const entries = new Map<string, Entry>()
  const timer = makeTimer(tend)
  let closing: Promise<void> | undefined

  /**
   * The value that a reference leads to, read at most `mostMs` ago. @throws Problem secret-unavailable, naming the reference
   */
  async function read(text: string, mostMs = keepMs): Promise<Read> {
    try {
      const found = find(sources, text)
      if (typeof found === 'string') throw new Unreadable(found)
      const document = await documentOf(found, mostMs)
      return { value: document.valueOf(found.reference), changedAt: document.changedAt }
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error
      throw new Problem('secret-unavailable', `${text}: ${error.message}`, { cause: error })
    }
  }

  function documentOf({ reference, source, key }: Found, mostMs: number): Promise<Document> {
    const at = now().getTime()
    const known = entries.get(key)
    // A clock that was set back must not keep a value for long.
    if (known && Math.abs(at - known.at) < mostMs && at < known.goodUntil) return known.reading
    const entry: Entry = { at, reading: source.fetch(reference), goodUntil: Number.POSITIVE_INFINITY }
    entries.delete(key)
    entries.set(key, entry)
    entry.reading.then(
      ({ goodUntil = Number.POSITIVE_INFINITY }) => {
        entry.goodUntil = goodUntil
      },
      () => entries.get(key) === entry && entries.delete(key),
    )
    const [oldest] = entries.size > most ? entries.keys() : []
    if (oldest !== undefined) entries.delete(oldest)
    return entry.reading
  }

  /**
   * Whether another value than `than` stands there by now: asked when a system refused that one. Reads it anew, but not
   * again and again.
   */
  async function hasChanged(text: string, than: Secret): Promise<boolean> {
    const found = find(sources, text)
    if (typeof found === 'string') return false
    const differs = async () => (await read(text)).value.reveal() !== than.reveal()
    if (await differs()) return true
    const known = entries.get(found.key)
    if (!known || now().getTime() - known.at < patienceMs) return false
    entries.delete(found.key)
    await found.source.forget?.(found.reference)
    return differs()
  }

  async function tend(): Promise<void> {
    const at = now().getTime()
    for (const [key, entry] of entries) if (Math.abs(at - entry.at) >= keepMs) entries.delete(key)
    await Promise.all(Object.values(sources).map((source) => source.tend?.()))
  }

  async function close(): Promise<void> {
    timer.stop()
    entries.clear()
    await Promise.all(Object.values(sources).map((source) => source.close?.()))
  }

  return {
    read,
    hasChanged,
    /** Forgets what is too old, and keeps alive what must be kept alive; `start` has it done every few seconds. */
    tend,
    start: timer.start,
    /** Gives back what was borrowed. Once. */
    close: (): Promise<void> => {
      closing ??= close()
      return closing
    },
  }
}

type Found = { readonly reference: Reference; readonly source: Source<Reference>; readonly key: string }

/** The place and its source, or why it may not be read here: the rest of a sentence. */
function find(sources: Sources, text: string): Found | string {
  const reference = parseReference(text)
  if (!reference) return referenceRule(text)
  // The type of the map says that the source under a scheme takes its references.
  const source = sources[reference.scheme] as Source<Reference> | undefined
  if (!source) return `references of this kind are not allowed here; set ${settingOf[reference.scheme]}`
  const refusal = source.refusal(reference)
  if (refusal !== undefined) return refusal
  return { reference, source, key: `${reference.scheme} ${source.documentOf(reference)}` }
}

/** Has something done every few seconds, one at a time. */
function makeTimer(run: () => Promise<void>) {
  let timer: NodeJS.Timeout | undefined
  let isBusy = false
  async function once(): Promise<void> {
    if (isBusy) return
    isBusy = true
    // What cannot be kept alive fails where it is used, and says so there.
    await run().catch(() => {})
    isBusy = false
  }
  return {
    start(): void {
      timer ??= setInterval(() => void once(), tendMs).unref()
      void once()
    },
    stop: (): void => clearInterval(timer),
  }
}

const settingOf: Readonly<Record<Scheme, string>> = {
  env: 'ATLAS_REFERENCE_ENV',
  file: 'ATLAS_REFERENCE_DIR',
  vault: 'ATLAS_REFERENCE_VAULT_URL',
  awssm: 'ATLAS_REFERENCE_AWS_REGION',
}
