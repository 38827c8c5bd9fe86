import type { KeyObject } from 'node:crypto'
import type { Db } from '../../lib/db/database.ts'
import { setBoxes } from '../../lib/db/set-boxes.ts'
import { makeHeads } from './head.ts'
import { sealKeyAnew } from './signing.ts'
import { headOf, type Tables } from './store.ts'
import { sealSubjectAnew } from './subject.ts'

/**
 * Seals the log's signing key and the subjects' keys under another root key, inside one transaction. The signing key itself
 * stays: the log goes on under the same name and fingerprint. Throws `LogDamaged` when the head is not the log's.
 */
export async function rekeyAudit(tx: Db, from: KeyObject, to: KeyObject): Promise<number> {
  const db = tx.withTables<Tables>()
  const key = await db.selectFrom('audit_key').selectAll().executeTakeFirst()
  if (!key) return 0
  await db
    .updateTable('audit_key')
    .set({ box: sealKeyAnew(key, from, to) })
    .execute()
  const head = await db.selectFrom('audit_head').select(['size', 'compact', 'checkpoint', 'mac']).executeTakeFirst()
  const { mac } = makeHeads(to).write({ ...makeHeads(from).read(head && headOf(head)), rootKey: to })
  await db.updateTable('audit_head').set({ mac }).execute()
  const subjects = await db.selectFrom('audit_subject').selectAll().execute()
  const sealed = subjects.map((row) => ({ id: row.id, box: sealSubjectAnew(row, from, to) }))
  await setBoxes(tx, 'audit_subject', ['box'], sealed)
  return subjects.length + 2
}
