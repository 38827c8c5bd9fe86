import { createPrivateKey, createPublicKey, generateKeyPairSync, hash, type KeyObject, randomBytes } from 'node:crypto'
import { Problem } from '../../core/problem.ts'
import { UnknownKey } from '../../lib/db/database.ts'
import { deriveKey, EnvelopeError, open, reseal, seal } from '../../lib/envelope.ts'
import { foldNodes } from '../../lib/merkle.ts'
import { type RootKey, ringOf, rootKeyOf } from '../../lib/root-keys.ts'
import {
  formatCheckpoint,
  formatVkey,
  isKeyName,
  openNote,
  parseCheckpoint,
  parseVkey,
  signNote,
} from '../../lib/signed-note.ts'
import { clockAcceptedCode } from './event.ts'
import { LogDamaged, makeHeads } from './head.ts'
import { makeProofs } from './proofs.ts'
import type { KeyRow, makeStore, Writer } from './store.ts'
import { readerOn } from './store-read.ts'

export type SigningKey = {
  readonly origin: string
  readonly vkey: string
  /** SHA-256 of the public key's 32 bytes, hex: what two people compare. */
  readonly fingerprint: string
  readonly privateKey: KeyObject
}

type Parts = { readonly store: ReturnType<typeof makeStore>; readonly rootKey: RootKey; readonly now: () => Date }

/**
 * Opens the log's Ed25519 key, or makes it together with an empty log. `origin` names the log for ever (it is in every
 * checkpoint); another one than the log was made with is refused. Throws `UnknownKey` under another root key.
 */
export async function openSigningKey({ store, rootKey, now }: Parts, origin?: string): Promise<SigningKey> {
  if (origin !== undefined && !isKeyName(origin))
    throw new Error('The origin of the audit log is a name without spaces, plus signs or control characters')
  return store.write(async (writer) => {
    const row = await writer.findKey()
    if (row && origin !== undefined && row.origin !== origin)
      throw new Error(`This database holds the audit log ${row.origin}; its origin cannot be changed to ${origin}`)
    if (row) return openKey(rootKey, row)
    const current = ringOf(rootKey).current()
    const made = makeKey(current, origin ?? `infrastructure-atlas/${randomBytes(8).toString('hex')}`, now())
    await writer.found(made, makeHeads(current).write({ size: 0, edge: [], checkpoint: null, rootKey: current }))
    return openKey(current, made)
  })
}

/** Opens a stored key and holds its public half against the stored vkey. */
export function openKey(rootKey: RootKey, { origin, vkey, box }: KeyRow): SigningKey {
  const bytes = openBox(sealingKey(rootKeyOf(ringOf(rootKey), sealingKey, box)), box, origin)
  const privateKey = createPrivateKey({ key: bytes, format: 'der', type: 'pkcs8' })
  bytes.fill(0)
  const publicKey = createPublicKey(privateKey)
  if (formatVkey(origin, publicKey) !== vkey) throw new LogDamaged('the stored verifier key is not that of the log')
  return { origin, vkey, fingerprint: fingerprintOf(publicKey), privateKey }
}

/** The log's key, sealed for another root key. */
export function sealKeyAnew({ box, origin }: KeyRow, from: KeyObject, to: KeyObject): Buffer {
  return reseal(sealingKey(from), sealingKey(to), box, keyAad(origin))
}

function sealingKey(rootKey: KeyObject): KeyObject {
  return deriveKey(rootKey, 'atlas/audit-key')
}

// Two servers' clocks differ by less; what differs by more is a clock that was set.
const clockToleranceMs = 10_000

/**
 * Signs the committed head, once per size, inside the writer's transaction. Before that it recomputes, from the stored hashes, the root
 * that was signed last and the root of the head: a log that does not extend what it signed is never signed again
 * (tlog-checkpoint: "MUST NOT sign a checkpoint inconsistent with an earlier one"). A clock behind the newest entry signs nothing.
 */
export function makeSigner({ rootKey, now }: Pick<Parts, 'rootKey' | 'now'>, key: SigningKey) {
  const heads = makeHeads(rootKey)
  const verifier = parseVkey(key.vkey)
  return async function signHead(writer: Writer): Promise<string> {
    const head = heads.read(await writer.lockHead())
    const reader = readerOn(writer.reader)
    const { rootAt } = makeProofs(reader)
    if (head.checkpoint !== null) {
      const last = parseCheckpoint(openNote(Buffer.from(head.checkpoint), verifier))
      if (last.size > head.size) throw new LogDamaged(`the log of ${last.size} entries was cut to ${head.size}`)
      if (!last.root.equals(await rootAt(last.size)))
        throw new LogDamaged(`the first ${last.size} entries are not those that were signed`)
      if (last.size === head.size) return head.checkpoint
    }
    checkClock(await reader.newestTime(clockAcceptedCode), now())
    const root = await rootAt(head.size)
    // The edge was kept by the writer, the root comes from the stored hashes: two ways to the same tree.
    if (!root.equals(foldNodes(head.edge))) throw new LogDamaged('the stored hashes are not those of the head')
    const checkpoint = signNote(
      formatCheckpoint({ origin: key.origin, size: head.size, root }),
      key.origin,
      key.privateKey,
    )
    await writer.moveHead(head.size, heads.write({ ...head, checkpoint }))
    return checkpoint
  }
}

/** The clock is behind what is already in the log. */
export class ClockBehind extends Problem {
  constructor(byMs: number) {
    super(
      'audit-unavailable',
      `The clock of this server is ${Math.ceil(byMs / 1000)} s behind the newest entry of the audit log, so nothing is signed. Set the clock; if the clock is right and the entry is not: atlas audit accept-clock`,
    )
  }
}

function checkClock(newest: string | undefined, now: Date): void {
  const behind = newest === undefined ? 0 : Date.parse(newest) - now.getTime()
  if (behind > clockToleranceMs) throw new ClockBehind(behind)
}

function makeKey(rootKey: KeyObject, origin: string, now: Date): KeyRow {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const bytes = privateKey.export({ format: 'der', type: 'pkcs8' })
  const box = seal(sealingKey(rootKey), bytes, keyAad(origin))
  bytes.fill(0)
  return { origin, vkey: formatVkey(origin, publicKey), box, created_at: now.toISOString() }
}

function openBox(key: KeyObject, box: Buffer, origin: string): Buffer {
  try {
    return open(key, box, keyAad(origin))
  } catch (error) {
    if (error instanceof EnvelopeError && error.reason === 'unknown-key') throw new UnknownKey()
    throw error
  }
}

function keyAad(origin: string): string[] {
  return ['atlas', 'audit_key', origin, 'ed25519']
}

function fingerprintOf(publicKey: KeyObject): string {
  return hash('sha256', publicKey.export({ format: 'der', type: 'spki' }).subarray(-32), 'hex')
}
