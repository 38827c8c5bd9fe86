import type { KeyObject } from 'node:crypto'
import type { Db } from '../../lib/db/database.ts'
import { wrapAnew } from './keyring.ts'
import type { Tables } from './store.ts'

/** Wraps the key-encryption keys with another root key, inside one transaction. Answers how many. */
export async function rekeyVault(tx: Db, from: KeyObject, to: KeyObject): Promise<number> {
  const db = tx.withTables<Tables>()
  const rows = await db.selectFrom('vault_key').selectAll().execute()
  for (const row of rows)
    await db
      .updateTable('vault_key')
      .set({ wrapped: wrapAnew(row, from, to) })
      .where('id', '=', row.id)
      .execute()
  return rows.length
}
