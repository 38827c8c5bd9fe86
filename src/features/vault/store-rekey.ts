import type { KeyObject } from 'node:crypto'
import { type Database, type Db, lockTables } from '../../lib/db/database.ts'
import { wrapAnew } from './keyring.ts'
import { makeVaultStore, type Tables } from './store.ts'

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

/**
 * Waits for a change of the root key that is being committed: the database goes on with it when the process that asked for it is
 * gone, and what is read before it ends is not yet true.
 */
export async function untilRekeyed(database: Database): Promise<void> {
  if (database.dialect === 'sqlite' || !(await makeVaultStore(database).hasTables())) return
  await database.exclusive('rekey', (tx) => lockTables(tx, ['vault_key']))
}
