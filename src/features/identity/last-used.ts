import type { Database } from '../../lib/db/database.ts'
import { setLastUsed } from './store-tokens.ts'

/** Writes the last use of tokens beside the calls, several at once. A use that could not be written is not worth a failed call. */
export function makeLastUsed({ db }: Pick<Database, 'db'>, now: () => Date) {
  const waiting = new Set<string>()
  let writing: Promise<void> | undefined

  async function write(): Promise<void> {
    while (waiting.size > 0) {
      const ids = [...waiting].slice(0, 500)
      for (const id of ids) waiting.delete(id)
      await setLastUsed(db, ids, now().toISOString()).catch(() => {})
    }
    writing = undefined
  }

  return {
    note(id: string): void {
      waiting.add(id)
      writing ??= write()
    },
    settle: (): Promise<void> => writing ?? Promise.resolve(),
  }
}
