import assert from 'node:assert/strict'
import type { KeyObject } from 'node:crypto'
import { globSync, readFileSync } from 'node:fs'
import { sql } from 'kysely'
import type { Database } from '../lib/db/database.ts'
import { deriveKey, keyId } from '../lib/envelope.ts'

/** `table.column` of each box in the whole database that a key derived from `rootKey` opens: every key that the code derives. */
export async function boxesUnder(database: Database, rootKey: KeyObject): Promise<string[]> {
  const infos = globSync('src/**/*.ts').flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/deriveKey\(\w+, '([^']+)'\)/g)].map((match) => match[1] ?? ''),
  )
  assert.ok(infos.includes('atlas/vault') && infos.includes('atlas/audit-key'), 'the search finds derivations')
  const ids = new Map(infos.map((info) => [keyId(deriveKey(rootKey, info)).toString('hex'), info]))
  const found: string[] = []
  for (const { name } of await database.db.introspection.getTables()) {
    const { rows } = await sql<Record<string, unknown>>`select * from ${sql.table(name)}`.execute(database.db)
    for (const [column, value] of rows.flatMap((row) => Object.entries(row)))
      if (Buffer.isBuffer(value) && value.toString('latin1', 0, 2) === 'HS') {
        const info = ids.get(value.toString('hex', 4, 12))
        if (info) found.push(`${name}.${column} under ${info}`)
      }
  }
  return found
}
