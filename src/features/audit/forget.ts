import { Problem } from '../../core/problem.ts'
import type { makeCommitter } from './commit.ts'
import { draftOf, mappingId } from './entry.ts'
import { forgottenCode } from './event.ts'
import type { makeMentions } from './mentions.ts'
import type { makeStore } from './store.ts'
import type { StoreReader } from './store-read.ts'
import type { makeSubjects } from './subject.ts'

type Parts = {
  readonly store: ReturnType<typeof makeStore>
  readonly reader: StoreReader
  readonly subjects: ReturnType<typeof makeSubjects>
  readonly committer: ReturnType<typeof makeCommitter>
  readonly findMentions: ReturnType<typeof makeMentions>
  readonly now: () => Date
}

// An entry holds 65,535 bytes, and an index of 15 digits takes 16 of them.
const perEntry = 3000

export function makeForget({ store, reader, subjects, committer, findMentions, now }: Parts) {
  /**
   * Destroys a principal's key, its tie to the pseudonym and all that was sealed under it, and the details of others in which its id or
   * one of `texts` stands; and records that. The entries stay and the tree still verifies. `''` forgets what nobody who signed in left, such as
   * addresses of failed logins. A later event of the same principal gets a new pseudonym.
   */
  return async function forget(
    principalId: string,
    texts: readonly string[] = [],
  ): Promise<{ index: number; details: number }> {
    const row = await reader.subjectOf(principalId === '' ? '' : mappingId(principalId))
    if (!row) throw new Problem('not-found', 'The log knows no such principal')
    const mentions = await findMentions([principalId, ...texts].filter(Boolean), row.id)
    let first: number | undefined
    for (let at = 0; at === 0 || at < mentions.length; at += perEntry) {
      const erased = mentions.slice(at, at + perEntry)
      const event = {
        code: forgottenCode,
        resource: { type: 'subject', id: row.id },
        ...(erased.length > 0 && { erased }),
      } as const
      const { index } = await committer.add(draftOf(event, now().toISOString()), async (writer) => {
        await writer.deleteSubject(row.id)
        await writer.deletePayloads(erased)
        subjects.drop()
      })
      first ??= index
    }
    await store.scrub()
    return { index: first as number, details: mentions.length }
  }
}
