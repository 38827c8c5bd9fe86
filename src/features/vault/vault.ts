import { createHmac, type KeyObject } from 'node:crypto'
import type { Secret } from '../../core/secret.ts'
import type { Database } from '../../lib/db/database.ts'
import { deriveKey } from '../../lib/envelope.ts'
import { rootKeyFingerprint } from '../../lib/root-key.ts'
import { makeIncidents } from './incidents.ts'
import { makeKeyring } from './keyring.ts'
import { makeKeys } from './keys.ts'
import { makeKnown } from './known.ts'
import { makeProof } from './proof.ts'
import { makeReading } from './reading.ts'
import { makeRotation } from './rotation.ts'
import { makeSealing } from './sealing.ts'
import { makeStaging } from './staging.ts'
import { makeVaultStore } from './store.ts'
import { makeUsage } from './usage.ts'
import { makeWriting } from './writing.ts'

type Parts = {
  readonly database: Database
  readonly rootKey: KeyObject
  readonly now: () => Date
  /** Told when a stored secret does not open: it was damaged, exchanged or edited. The read fails after it. */
  readonly onIntegrityFailure: (secretId: string, version: number) => void | Promise<void>
  /** Data keys wrapped by one key-encryption key before the next is made. */
  readonly maxWraps?: number
}

export type Vault = ReturnType<typeof makeVault>

/**
 * The secrets: root key → key-encryption key → one data key per secret version → value, each sealed for its row
 * (SECURITY.md §1.2). Values go in and come out as `Secret` only. `init` comes first.
 * Nothing here may be called inside a transaction: each makes its own.
 */
export function makeVault({ database, rootKey, now, onIntegrityFailure, maxWraps }: Parts) {
  const store = makeVaultStore(database)
  const keyring = makeKeyring({ store, rootKey, now, ...(maxWraps !== undefined && { maxWraps }) })
  const sealing = makeSealing({ keyring, onIntegrityFailure })
  const known = makeKnown()
  const usage = makeUsage({ store, now })
  const keys = makeKeys({ store, keyring, sealing })
  const fingerprint = () => rootKeyFingerprint(rootKey)
  const fingerprintKey = deriveKey(rootKey, 'atlas/vault/fingerprint')

  return {
    /** Opens the key hierarchy or makes it. Throws `UnknownKey` for another root key, with nothing written. */
    init: keyring.init,
    ...makeWriting({ store, keyring, sealing, known, now }),
    ...makeStaging({ store, keyring, sealing, known, now }),
    ...makeRotation({ store, now }),
    ...keys,
    ...makeIncidents({ store, keyring, keys: keys.keys, rootKeyFingerprint: fingerprint, now }),
    ...makeReading({ store, sealing, known, now, usage }),
    usage: usage.usage,
    /** Writes what is still counted. Before the database is closed. */
    close: usage.close,
    /** Replaces values that this process has stored or opened by `[secret]`, in all forms of lib/redact-forms.ts. */
    redact: known.redact,
    hide: known.hide,
    proves: makeProof({ store, sealing, known, now, usage }),
    /** Names the root key in use, to compare it with a note of it. */
    rootKeyFingerprint: fingerprint,
    /** Tells equal values from different ones without telling the value: HMAC-SHA-256, hexadecimal. */
    fingerprint: (value: Secret): string => createHmac('sha256', fingerprintKey).update(value.reveal()).digest('hex'),
  }
}
