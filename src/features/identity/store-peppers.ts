import { createSecretKey, type KeyObject } from 'node:crypto'
import type { Db } from '../../lib/db/database.ts'
import { deriveKey, open, reseal, seal } from '../../lib/envelope.ts'
import { type RootKey, ringOf, rootKeyOf } from '../../lib/root-keys.ts'
import { pepperIdOf, pepperOf } from './password.ts'

type Tables = { password_pepper: { id: string; box: Buffer } }

/** The pepper of hashes that were made under an earlier root key. */
export async function findPepper(db: Db, rootKey: RootKey, id: string): Promise<KeyObject | undefined> {
  const row = await db
    .withTables<Tables>()
    .selectFrom('password_pepper')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirst()
  if (!row) return undefined
  const bytes = open(wrappingKey(rootKeyOf(ringOf(rootKey), wrappingKey, row.box)), row.box, aadOf(id))
  const key = createSecretKey(bytes)
  bytes.fill(0)
  return key
}

/**
 * Keeps the pepper of the old root key, sealed under the new one, inside one transaction: a password cannot be hashed again
 * before its owner types it.
 */
export async function rekeyIdentity(tx: Db, from: KeyObject, to: KeyObject): Promise<number> {
  const db = tx.withTables<Tables>()
  const rows = await db.selectFrom('password_pepper').selectAll().execute()
  for (const { id, box } of rows)
    await db
      .updateTable('password_pepper')
      .set({ box: reseal(wrappingKey(from), wrappingKey(to), box, aadOf(id)) })
      .where('id', '=', id)
      .execute()
  const pepper = pepperOf(from)
  const id = pepperIdOf(pepper)
  const bytes = pepper.export()
  const box = seal(wrappingKey(to), bytes, aadOf(id))
  bytes.fill(0)
  await db
    .insertInto('password_pepper')
    .values({ id, box })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute()
  return rows.length + 1
}

function wrappingKey(rootKey: KeyObject): KeyObject {
  return deriveKey(rootKey, 'atlas/password-pepper-box')
}

function aadOf(id: string): readonly string[] {
  return ['atlas', 'password_pepper', id]
}
