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
   * The entries in whose sealed detail any of these texts stands, in whatever case; without those of the subject `except`. Opens every
   * detail, a page at a time.
   */
  return async function find(texts: readonly string[], except: string): Promise<number[]> {
    // As they stand in JSON.
    const wanted = texts.map((text) => JSON.stringify(text).slice(1, -1).toLowerCase()).filter(Boolean)
    const found: number[] = []
    const { size } = (await reader.head()) ?? { size: 0 }
    for (let at = 0; at < size && wanted.length > 0; at += page) {
      const rows = (await detailed(at, at + page)).map((row) => ({ ...row, by: parseLeaf(row.leaf).subject ?? '' }))
      const keys = await open(new Set(rows.map(({ by }) => by)))
      for (const { index, by, box } of rows) {
        const text = by === except ? '' : textOf(keys.get(by), index, box)
        if (wanted.some((one) => text.includes(one))) found.push(index)
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
function textOf(subject: Subject | undefined, index: number, box: Buffer): string {
  if (!subject) return ''
  try {
    return JSON.stringify(openPayload(subject, index, box)).toLowerCase()
  } catch (error) {
    if (error instanceof EnvelopeError) return ''
    throw error
  }
}
