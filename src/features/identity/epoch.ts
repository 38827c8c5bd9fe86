import type { Database } from '../../lib/db/database.ts'
import { readEpoch } from './store.ts'

const lifeMs = 1_000

/**
 * Watches the epoch row, which moves whenever any process changes what somebody may do. `freshen` reads it when the last
 * reading began a second ago or earlier, and calls `onChange` when it has moved. A database that cannot be read throws:
 * who cannot be checked is not let in.
 */
export function makeEpochWatch({ db }: Pick<Database, 'db'>, onChange: () => void) {
  let last: { readonly value: number; readonly readAt: number } | undefined
  let reading: Promise<void> | undefined

  async function read(at: number): Promise<void> {
    const value = await readEpoch(db)
    if (value !== last?.value) onChange()
    last = { value, readAt: at }
  }

  return async function freshen(at: number): Promise<void> {
    // A clock that went back makes the age negative; then the reading counts as old.
    const age = last === undefined ? lifeMs : at - last.readAt
    if (age >= 0 && age < lifeMs) return
    reading ??= read(at).finally(() => {
      reading = undefined
    })
    await reading
  }
}
