import { createHmac, type KeyObject } from 'node:crypto'
import type { Secret } from '../../core/secret.ts'
import type { Database, Db } from '../../lib/db/database.ts'
import { rootKeyFingerprint } from '../../lib/root-key.ts'
import { fingerprintKey, type RootKey, ringOf } from '../../lib/root-keys.ts'
import { makeIncidents } from './incidents.ts'
import { makeKeyring } from './keyring.ts'
import { makeKeys } from './keys.ts'
import { makeKnown } from './known.ts'
import { makeOpening } from './opening.ts'
import { makeProof } from './proof.ts'
import { makeReading } from './reading.ts'
import { makeReferences, type References } from './references/resolver.ts'
import { makeRotation } from './rotation.ts'
import { makeSealing } from './sealing.ts'
import { makeStaging } from './staging.ts'
import { makeVaultStore, rowsIn } from './store.ts'
import { makeUsage } from './usage.ts'
import { makeWriting } from './writing.ts'

type Parts = {
  readonly database: Database
  readonly rootKey: RootKey
  readonly now: () => Date
  /** Told when a stored secret does not open: it was damaged, exchanged or edited. The read fails after it. */
  readonly onIntegrityFailure: (secretId: string, version: number) => void | Promise<void>
  /** What reads values that are kept elsewhere; without it, references are refused. */
  readonly references?: References
  /** Told, once an hour for each secret, that the value behind its reference cannot be read. The read fails after it. */
  readonly onReferenceFailure?: (secretId: string, detail: string) => void | Promise<void>
  /** Data keys wrapped by one key-encryption key before the next is made. */
  readonly maxWraps?: number
}

export type Vault = ReturnType<typeof makeVault>

/**
 * The secrets: root key → key-encryption key → one data key per secret version → value, each sealed for its row
 * (SECURITY.md §1.2). Values go in and come out as `Secret` only. `init` comes first.
 * Nothing here may be called inside a transaction: each makes its own.
 */
export function makeVault({ database, rootKey, now, onIntegrityFailure, maxWraps, ...parts }: Parts) {
  const store = makeVaultStore(database)
  const keyring = makeKeyring({ store, rootKey, now, ...(maxWraps !== undefined && { maxWraps }) })
  const sealing = makeSealing({ keyring, onIntegrityFailure })
  const known = makeKnown()
  const usage = makeUsage({ store, now })
  const ring = ringOf(rootKey)
  const { references = makeReferences({ sources: {}, now }), onReferenceFailure = () => {} } = parts
  const opening = makeOpening({ store, sealing, references, known, now, onReferenceFailure })
  const keys = makeKeys({ store, keyring, sealing })
  const fingerprint = () => rootKeyFingerprint(ring.current())

  return {
    /** Opens the key hierarchy or makes it. Throws `UnknownKey` for another root key, with nothing written. */
    init: keyring.init,
    ...makeWriting({ store, keyring, sealing, known, opening, now }),
    ...makeStaging({ store, keyring, sealing, known, opening, now }),
    ...makeRotation({ store, now }),
    ...keys,
    ...makeIncidents({ store, keyring, keys: keys.keys, rootKeyFingerprint: fingerprint, now }),
    rootKeyIn: (tx: Db): Promise<KeyObject> => keyring.rootKeyIn(rowsIn(tx)),
    ...makeReading({ store, opening, now, usage }),
    usage: usage.usage,
    /** Writes what is still counted. Before the database is closed. */
    close: usage.close,
    /** Replaces values that this process has stored or opened by `[secret]`, in all forms of lib/redact-forms.ts. */
    redact: known.redact,
    hide: known.hide,
    proves: makeProof({ store, opening, now, usage }),
    /** Names the root key in use, to compare it with a note of it. */
    rootKeyFingerprint: fingerprint,
    /** Tells equal values from different ones without telling the value: HMAC-SHA-256, hexadecimal. Another root key gives another one. */
    fingerprint: (value: Secret, key: KeyObject = fingerprintKey(ring.current())): string =>
      createHmac('sha256', key).update(value.reveal()).digest('hex'),
  }
}
