import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { Problem } from '../../core/problem.ts'
import { Secret } from '../../core/secret.ts'
import { EnvelopeError, open as openBox, seal as sealBox } from '../../lib/envelope.ts'
import type { Keyring } from './keyring.ts'
import type { Given, Scheme } from './references/reference.ts'
import type { SecretRow } from './store.ts'

/** What a version row holds of its value. All null once destroyed, or when the row is missing. */
type Sealed = {
  readonly key_id: string | null
  readonly wrapped: Buffer | null
  readonly box: Buffer | null
  readonly scheme: Scheme | null
}

type Parts = {
  readonly keyring: Pick<Keyring, 'find'>
  readonly onIntegrityFailure: (secretId: string, version: number) => void | Promise<void>
}

type WrapKey = { readonly id: string; readonly key: KeyObject }

export type Sealing = ReturnType<typeof makeSealing>

/**
 * Seals one value under a data key of its own, and opens it. Both boxes are bound to the row and to the secret's name, kind
 * and owner, so that nobody who can write the tables can give one secret's value to another secret, version or owner. A value
 * and a reference are sealed apart: neither opens as the other.
 */
export function makeSealing({ keyring, onIntegrityFailure }: Parts) {
  return { seal, sealBytes, open, openBytes }

  /** Wraps a new data key with `key` and seals what was given with it, for one version. `scheme` as in the row. */
  function seal(key: WrapKey, secret: SecretRow, version: number, given: Given, scheme: Scheme | null) {
    const text = given instanceof Secret ? given.reveal() : given.reference
    if (!text.isWellFormed()) throw new Problem('invalid-input', 'The value is not valid Unicode text')
    const plain = Buffer.from(text, 'utf8')
    try {
      return sealBytes(key, secret, version, plain, scheme)
    } finally {
      plain.fill(0)
    }
  }

  function sealBytes(key: WrapKey, secret: SecretRow, version: number, plain: Buffer, scheme: Scheme | null) {
    const bytes = randomBytes(32)
    try {
      const aad = aadOf(secret, version)
      const wrapped = sealBox(key.key, bytes, aad('data-key', key.id))
      const box = sealBox(createSecretKey(bytes), plain, aad(contentOf(scheme), key.id))
      return { key_id: key.id, wrapped, box, scheme }
    } finally {
      bytes.fill(0)
    }
  }

  /** What was sealed for one version. Whatever is wrong with the row: `onIntegrityFailure`, then `integrity`, which says nothing of the content. */
  async function open(row: SecretRow & Sealed, version: number): Promise<Secret> {
    const plain = await openBytes(row, version)
    try {
      return new Secret(plain.toString('utf8'))
    } finally {
      plain.fill(0)
    }
  }

  /** Like `open`, as bytes that the caller zeroes. */
  async function openBytes(row: SecretRow & Sealed, version: number): Promise<Buffer> {
    try {
      return await openRow(row, version)
    } catch (error) {
      if (!(error instanceof EnvelopeError)) throw error
      await onIntegrityFailure(row.id, version)
      const detail = `Version ${version} of the secret ${row.id} is damaged or belongs elsewhere`
      throw new Problem('integrity', detail, { cause: error })
    }
  }

  async function openRow(row: SecretRow & Sealed, version: number): Promise<Buffer> {
    const key = row.key_id === null ? undefined : await keyring.find(row.key_id)
    if (!key || !row.key_id || !row.wrapped || !row.box) throw new EnvelopeError('integrity')
    const aad = aadOf(row, version)
    const bytes = openBox(key, row.wrapped, aad('data-key', row.key_id))
    try {
      return openBox(createSecretKey(bytes), row.box, aad(contentOf(row.scheme), row.key_id))
    } finally {
      bytes.fill(0)
    }
  }
}

function aadOf({ id, name, kind, owner }: SecretRow, version: number) {
  // A missing owner and an empty one must differ.
  const row = ['atlas', 'secret_version', id, String(version), name, kind, owner === null ? '-' : `=${owner}`]
  return (field: 'data-key' | Content, keyId: string): readonly string[] => [...row, field, keyId]
}

type Content = 'value' | `reference/${Scheme}`

/** What a box holds. With the scheme in it, a list that says where a value comes from cannot be made to lie. */
function contentOf(scheme: Scheme | null): Content {
  return scheme === null ? 'value' : `reference/${scheme}`
}
