import { setImmediate } from 'node:timers/promises'
import type { Database } from '../../lib/db/database.ts'
import { EnvelopeError } from '../../lib/envelope.ts'
import { parseLeaf } from './search.ts'
import type { StoreReader } from './store-read.ts'
import { makeRetentionStore } from './store-retention.ts'
import { type makeSubjects, openPayload, type Subject } from './subject.ts'

type Parts = {
  readonly database: Database
  readonly reader: StoreReader
  readonly subjects: ReturnType<typeof makeSubjects>
}

const page = 256

/** Finds what is said about somebody in the sealed details of others: an administrator who typed a name, a sign-in that failed. */
export function makeMentions({ database, reader, subjects }: Parts) {
  const { detailed } = makeRetentionStore(database)

  /**
   * The entries in whose sealed detail any of these texts stands as a whole word or value, in whatever case; without those of the subject
   * `except`. Names of members do not count: else a word such as `name` would find everything. Opens every detail, a page at a time.
   */
  return async function find(texts: readonly string[], except: string): Promise<number[]> {
    const wanted = texts.filter(Boolean).map(wordPattern)
    const found: number[] = []
    const { size } = (await reader.head()) ?? { size: 0 }
    for (let at = 0; at < size && wanted.length > 0; at += page) {
      const rows = (await detailed(at, at + page)).map((row) => ({ ...row, by: parseLeaf(row.leaf).subject ?? '' }))
      const keys = await open(new Set(rows.map(({ by }) => by)))
      for (const { index, by, box } of rows) {
        const values = by === except ? [] : valuesOf(payloadOf(keys.get(by), index, box))
        if (wanted.some((one) => values.some((value) => one.test(value)))) found.push(index)
      }
      await setImmediate()
    }
    return found
  }

  async function open(ids: ReadonlySet<string>): Promise<ReadonlyMap<string, Subject>> {
    const rows = await reader.subjects([...ids])
    return new Map(rows.map((row) => [row.id, subjects.open(row)]))
  }
}

/** What cannot be opened says nothing to anybody; that it is damaged is for verification to say. */
function payloadOf(subject: Subject | undefined, index: number, box: Buffer): unknown {
  if (!subject) return undefined
  try {
    return openPayload(subject, index, box)
  } catch (error) {
    if (error instanceof EnvelopeError) return undefined
    throw error
  }
}

/** Every text and number in a value, at any depth; not the names of members. */
function valuesOf(value: unknown): string[] {
  if (typeof value === 'string' || typeof value === 'number') return [String(value)]
  if (value === null || typeof value !== 'object') return []
  return Object.values(value).flatMap(valuesOf)
}

/** The text with no letter or digit right before or behind it. */
function wordPattern(text: string): RegExp {
  return new RegExp(`(?<![\\p{L}\\p{N}])${RegExp.escape(text)}(?![\\p{L}\\p{N}])`, 'iu')
}
