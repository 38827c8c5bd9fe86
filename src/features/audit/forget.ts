import { Problem } from '../../core/problem.ts'
import type { makeCommitter } from './commit.ts'
import { draftOf, mappingId } from './entry.ts'
import { forgottenCode } from './event.ts'
import type { makeStore } from './store.ts'
import type { StoreReader } from './store-read.ts'
import type { makeSubjects } from './subject.ts'

type Parts = {
  readonly store: ReturnType<typeof makeStore>
  readonly reader: StoreReader
  readonly subjects: ReturnType<typeof makeSubjects>
  readonly committer: ReturnType<typeof makeCommitter>
  readonly now: () => Date
}

export function makeForget({ store, reader, subjects, committer, now }: Parts) {
  /**
   * Destroys a principal's key, its tie to the pseudonym and all that was sealed under it, and records that. The entries
   * stay and the tree still verifies. `''` forgets what nobody who signed in left, such as addresses of failed logins. A later
   * event of the same principal gets a new pseudonym.
   */
  return async function forget(principalId: string): Promise<{ index: number }> {
    const row = await reader.subjectOf(principalId === '' ? '' : mappingId(principalId))
    if (!row) throw new Problem('not-found', 'The log knows no such principal')
    const event = { code: forgottenCode, resource: { type: 'subject', id: row.id } } as const
    const place = await committer.add(draftOf(event, now().toISOString()), async (writer) => {
      await writer.deleteSubject(row.id)
      subjects.drop()
    })
    await store.scrub()
    return place
  }
}
