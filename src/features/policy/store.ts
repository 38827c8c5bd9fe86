import type { Database } from '../../lib/db/database.ts'
import { hashOf } from './policy-set.ts'

type Tables = { policy_version: { id: number; created_at: string; created_by: string; hash: string; text: string } }

/** One set of policies as it was stored. `id` counts from 1; versions are never changed or deleted. */
export type PolicyVersion = {
  readonly id: number
  readonly createdAt: string
  readonly createdBy: string
  readonly hash: string
  readonly text: string
}

/** Who the shipped policies are stored by; any other name is a person who edited them. */
export const shippedBy = 'atlas'

/**
 * The newest version. The shipped text becomes a new version when there is none yet, or when it changed and the newest one is
 * still a shipped one: what a person edited is never replaced.
 */
export function loadNewest(database: Database, shipped: string, now: () => Date): Promise<PolicyVersion> {
  return database.exclusive('policy', async (transaction) => {
    const tx = transaction.withTables<Tables>()
    const newest = await tx.selectFrom('policy_version').selectAll().orderBy('id', 'desc').limit(1).executeTakeFirst()
    const hash = hashOf(shipped)
    if (newest && (newest.created_by !== shippedBy || newest.hash === hash)) return fromRow(newest)
    const row = {
      id: (newest?.id ?? 0) + 1,
      created_at: now().toISOString(),
      created_by: shippedBy,
      hash,
      text: shipped,
    }
    await tx.insertInto('policy_version').values(row).execute()
    return fromRow(row)
  })
}

function fromRow(row: Tables['policy_version']): PolicyVersion {
  return { id: row.id, createdAt: row.created_at, createdBy: row.created_by, hash: row.hash, text: row.text }
}
