import type { KeyObject } from 'node:crypto'
import type { Database } from '../../lib/db/database.ts'
import { makeKeyring } from './keyring.ts'
import { makeSealing } from './sealing.ts'
import { makeVaultStore } from './store.ts'
import type { Place } from './store-keys.ts'

type Parts = { readonly database: Database; readonly rootKey: KeyObject }

/** Opens every stored version of every secret, shows none, and answers how many. Throws the problem `integrity` for one that does not open. */
export async function checkSecrets({ database, rootKey }: Parts): Promise<number> {
  const store = makeVaultStore(database)
  const keyring = makeKeyring({ store, rootKey, now: () => new Date() })
  const sealing = makeSealing({ keyring, onIntegrityFailure: () => {} })
  let opened = 0
  for (let after: Place | undefined; ; ) {
    const rows = await store.sealedVersions({ after, limit: 200 })
    for (const row of rows) {
      const plain = await sealing.openBytes(row, row.version)
      plain.fill(0)
      opened++
    }
    const last = rows.at(-1)
    if (!last) return opened
    after = { secret: last.id, version: last.version }
  }
}
