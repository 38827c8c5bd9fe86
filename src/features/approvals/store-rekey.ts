import type { KeyObject } from 'node:crypto'
import type { Db } from '../../lib/db/database.ts'
import { setBoxes } from '../../lib/db/set-boxes.ts'
import { keyId } from '../../lib/envelope.ts'
import { ringOf } from '../../lib/root-keys.ts'
import { openCallKeys, sealAnew, sealCallKeys } from './approval.ts'
import { approvalTtlMs, callKeys } from './hash-input.ts'
import type { Tables } from './store.ts'

const chunk = 200
const slackMs = 300_000

/**
 * Seals the approvals under another root key, inside one transaction. The hash that names an approved call is keyed, and the input
 * that it is of is not stored whole; so the keys of it are kept, sealed, until no approval is open that was asked for under them.
 */
export async function rekeyApprovals(tx: Db, from: KeyObject, to: KeyObject, at: string): Promise<number> {
  const db = tx.withTables<Tables>()
  await keepCallKeys(tx, from, to, at)
  let count = 0
  for (let after = ''; ; ) {
    const rows = await db
      .selectFrom('approval')
      .selectAll()
      .where('id', '>', after)
      .orderBy('id')
      .limit(chunk)
      .execute()
    const sealed = rows.map((row) => ({ id: row.id, ...sealAnew(row, from, to) }))
    await setBoxes(tx, 'approval', ['request_box', 'review_box'], sealed)
    count += rows.length
    const last = rows.at(-1)
    if (!last || rows.length < chunk) return count
    after = last.id
  }
}

async function keepCallKeys(tx: Db, from: KeyObject, to: KeyObject, at: string): Promise<void> {
  const db = tx.withTables<Tables>()
  await db.deleteFrom('approval_call_keys').where('until', '<=', at).execute()
  for (const row of await db.selectFrom('approval_call_keys').selectAll().execute()) {
    const opened = openCallKeys(ringOf(from), row)
    if (!opened) continue // damaged: what it is for is asked anew
    const box = sealCallKeys(to, row.id, opened)
    await db.updateTable('approval_call_keys').set({ box }).where('id', '=', row.id).execute()
  }
  // Also what is being asked in this moment has its name from the old key.
  const until = new Date(Date.parse(at) + approvalTtlMs + slackMs).toISOString()
  const keys = callKeys(from)
  const id = keyId(keys.call).toString('hex')
  await db
    .insertInto('approval_call_keys')
    .values({ id, box: sealCallKeys(to, id, keys), until })
    .onConflict((conflict) => conflict.column('id').doUpdateSet({ until, box: sealCallKeys(to, id, keys) }))
    .execute()
}
