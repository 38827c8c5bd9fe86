import type { Database } from '../../lib/db/database.ts'
import { ifUnique } from './store.ts'

type Tables = {
  connection: { id: string; webhook_secrets: string; wanted_at: string | null }
  webhook_delivery: { connection_id: string; delivery: string; received_at: string }
}

/** Which secrets sign deliveries, which deliveries came, and what they ask for. */
export function makeWebhookStore(database: Database) {
  const db = database.db.withTables<Tables>()
  return {
    /** Ids in the vault, newest first. */
    async secrets(connection: string): Promise<string[]> {
      const row = await db
        .selectFrom('connection')
        .select('webhook_secrets')
        .where('id', '=', connection)
        .executeTakeFirst()
      return row ? (JSON.parse(row.webhook_secrets) as string[]) : []
    },

    async setSecrets(connection: string, ids: readonly string[]): Promise<void> {
      await db
        .updateTable('connection')
        .set({ webhook_secrets: JSON.stringify(ids) })
        .where('id', '=', connection)
        .execute()
    },

    async isKnown(connection: string, delivery: string): Promise<boolean> {
      const row = await db
        .selectFrom('webhook_delivery')
        .select('delivery')
        .where('connection_id', '=', connection)
        .where('delivery', '=', delivery)
        .executeTakeFirst()
      return row !== undefined
    },

    /** False when the delivery came before. */
    remember: (connection_id: string, delivery: string, received_at: string): Promise<boolean> =>
      ifUnique(() => db.insertInto('webhook_delivery').values({ connection_id, delivery, received_at }).execute()),

    async forget(before: string): Promise<void> {
      await db.deleteFrom('webhook_delivery').where('received_at', '<', before).execute()
    },

    /** Notes that the connection should be read soon. */
    async want(connection: string, at: string): Promise<void> {
      await db.updateTable('connection').set({ wanted_at: at }).where('id', '=', connection).execute()
    },
  }
}
