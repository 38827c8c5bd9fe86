import type { KeyObject } from 'node:crypto'
import type { Db } from '../../lib/db/database.ts'
import { sealAnew } from './approval.ts'
import type { Row } from './store.ts'

/**
 * Seals the approvals under another root key, inside one transaction. Open ones end: the hash of their input is keyed, so
 * the call that they are for would not be recognised. Asking again asks anew.
 */
export async function rekeyApprovals(tx: Db, from: KeyObject, to: KeyObject): Promise<number> {
  const db = tx.withTables<{ approval: Row }>()
  await db.updateTable('approval').set({ state: 'expired' }).where('state', 'in', ['pending', 'approved']).execute()
  const ids = await db.selectFrom('approval').select('id').execute()
  for (const { id } of ids) {
    const row = await db.selectFrom('approval').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
    await db
      .updateTable('approval')
      .set(sealAnew(row, from, to))
      .where('id', '=', id)
      .execute()
  }
  return ids.length
}
