import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import { syncPath } from '../../../lib/disk.ts'
import { rootKeyFingerprint } from '../../../lib/root-key.ts'
import { type Binding, type Seal, SealError } from './seal.ts'

// `root.sealed`: the root key as its provider wrapped it. Without the provider nothing in it is secret.

const SealedKey = z.strictObject({
  v: z.literal(1),
  kind: z.enum(['transit', 'aws-kms', 'pkcs11']),
  key: z.string().min(1),
  wrapped: z.string().min(1),
  /** Of the root key, to tell at once which one this is. */
  fingerprint: z.string().regex(/^[0-9a-f]{16}$/),
})
export type SealedKey = z.output<typeof SealedKey>

/** A file that cannot be used. The message says what to do. */
export class BadSealedFile extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'BadSealedFile'
  }
}

const longest = 65_536

/** Wraps a root key, and unwraps it once more before anybody may rely on it. */
export async function wrapRootKey(seal: Seal, key: KeyObject): Promise<SealedKey> {
  const fingerprint = rootKeyFingerprint(key)
  const plain = key.export()
  try {
    const wrapped = await seal.wrap(plain, bindingOf(fingerprint))
    const sealed: SealedKey = { v: 1, kind: seal.kind, key: seal.keyName, wrapped, fingerprint }
    if (!(await unwrapRootKey(seal, sealed)).equals(key)) throw new SealError('failed', seal)
    return sealed
  } finally {
    plain.fill(0)
  }
}

/** The root key. Throws `BadSealedFile` when it was wrapped elsewhere than with this seal, `SealError` when the seal does not give it. */
export async function unwrapRootKey(seal: Seal, sealed: SealedKey): Promise<KeyObject> {
  if (sealed.kind !== seal.kind || sealed.key !== seal.keyName)
    throw new BadSealedFile(
      `The root key was wrapped by ${sealed.kind} with the key ${sealed.key}, and the settings name ${seal.kind} with ${seal.keyName}. Set what it was wrapped with; docs/operate/seals.md says how to change it`,
    )
  const plain = await seal.unwrap(sealed.wrapped, bindingOf(sealed.fingerprint))
  try {
    const key = createSecretKey(plain)
    // Who may use the provider's key could have wrapped another root key with it.
    if (rootKeyFingerprint(key) !== sealed.fingerprint) throw new SealError('wrong-ciphertext', seal)
    return key
  } finally {
    plain.fill(0)
  }
}

/** What the file holds; undefined when there is none. Refuses one that others may write. */
export function readSealedFile(path: string): SealedKey | undefined {
  let file: number
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    throw new BadSealedFile(`${path} cannot be read (${code})`, { cause: error })
  }
  try {
    const stat = fstatSync(file)
    if (!stat.isFile()) throw new BadSealedFile(`${path} is not a regular file`)
    if (stat.mode & 0o022) throw new BadSealedFile(`${path} can be changed by others; run: chmod 600 ${path}`)
    const buffer = Buffer.alloc(longest)
    const length = readSync(file, buffer)
    return SealedKey.parse(JSON.parse(buffer.toString('utf8', 0, length)))
  } catch (error) {
    if (error instanceof BadSealedFile) throw error
    throw new BadSealedFile(`${path} is damaged: it does not hold a wrapped root key`, { cause: error })
  } finally {
    closeSync(file)
  }
}

/** Mode 0600, whole or not at all, durable when this returns. An existing file stays unless it is to be replaced. */
export function writeSealedFile(path: string, sealed: SealedKey, { replace }: { readonly replace: boolean }): void {
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  try {
    const file = openSync(draft, 'wx', 0o600)
    try {
      writeSync(file, `${JSON.stringify(sealed, null, 2)}\n`)
      fsyncSync(file)
      if (replace) renameSync(draft, path)
      else linkSync(draft, path)
    } finally {
      closeSync(file)
      rmSync(draft, { force: true })
    }
    syncPath(dirname(path))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new BadSealedFile(
      code === 'EEXIST' ? `${path} exists already; it is not overwritten` : `${path} cannot be written (${code})`,
      { cause: error },
    )
  }
}

const bindingOf = (fingerprint: string): Binding => ({
  application: 'infrastructure-atlas',
  purpose: 'root-key',
  fingerprint,
})
