import assert from 'node:assert/strict'
import type { KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLog } from '../features/audit/log.ts'
import { verifyExport } from '../features/audit/verify.ts'
import { verifyLog } from '../features/audit/verify-log.ts'
import type { Database } from '../lib/db/database.ts'

/**
 * Fails unless the log in this database verifies: from the database, and as exported files through the verifier that
 * shares no code with the program. Other tests end with it.
 */
export async function checkLog(database: Database, rootKey: KeyObject): Promise<{ size: number }> {
  const stored = await verifyLog({ database, rootKey })
  assert.ok(stored.ok, `the stored log: ${JSON.stringify(stored)}`)
  const parent = mkdtempSync(join(tmpdir(), 'atlas-log-'))
  const log = await openLog({ database, rootKey, now: () => new Date() })
  try {
    await log.exportTo(join(parent, 'export'))
    const exported = verifyExport(join(parent, 'export'), log.vkey)
    assert.ok(exported.ok, `the exported log: ${JSON.stringify(exported)}`)
    assert.ok(exported.size >= stored.size, 'the export lacks entries')
    return { size: exported.size }
  } finally {
    await log.close()
    rmSync(parent, { recursive: true, force: true })
  }
}
