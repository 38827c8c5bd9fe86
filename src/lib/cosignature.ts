import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { type Checkpoint, NoteError, type NoteSignature, noteKeyId, parseCheckpoint, splitVkey } from './signed-note.ts'

/**
 * Timestamped cosignatures of checkpoints, C2SP tlog-cosignature v1.1: Ed25519 (`cosignature/v1`, type 0x04) and ML-DSA-44
 * (`subtree/v1`, type 0x06).
 */
export type CosignerKey = {
  readonly name: string
  readonly keyId: Buffer
  readonly algorithm: Algorithm
  readonly publicKey: KeyObject
}
export type Algorithm = keyof typeof algorithms

// `spki` and the raw key make a SubjectPublicKeyInfo (RFC 8410 §4, RFC 9881 §4).
const algorithms = {
  ed25519: { type: 0x04, keyBytes: 32, signatureBytes: 64, spki: '302a300506032b6570032100' },
  'ml-dsa-44': {
    type: 0x06,
    keyBytes: 1312,
    signatureBytes: 2420,
    spki: '30820532300b06096086480165030403110382052100',
  },
} as const

/** A signature line, with its newline, by `name` at `seconds` since 1970 over a checkpoint's text. */
export function cosign(text: string, name: string, privateKey: KeyObject, seconds: number): string {
  const publicKey = createPublicKey(privateKey)
  const { type } = algorithms[algorithmOf(publicKey)]
  const keyId = noteKeyId(name, Buffer.concat([Buffer.from([type]), rawOf(publicKey)]))
  const signature = sign(null, messageOf(algorithmOf(publicKey), text, name, BigInt(seconds)), privateKey)
  return `— ${name} ${Buffer.concat([keyId, u64(BigInt(seconds)), signature]).toString('base64')}\n`
}

/** When `key` cosigned the text, in seconds. Undefined for a line of another key; throws `NoteError` for a wrong one of `key`. */
export function cosignedAt(text: string, line: NoteSignature, key: CosignerKey): number | undefined {
  if (line.name !== key.name || !line.keyId.equals(key.keyId)) return undefined
  const { signatureBytes } = algorithms[key.algorithm]
  const seconds = line.signature.length === 8 + signatureBytes ? line.signature.readBigUInt64BE() : undefined
  if (seconds === undefined || seconds > BigInt(Number.MAX_SAFE_INTEGER))
    throw new NoteError('a cosignature is a time and a signature')
  if (!verify(null, messageOf(key.algorithm, text, key.name, seconds), key.publicKey, line.signature.subarray(8)))
    throw new NoteError('the cosignature does not match the text')
  return Number(seconds)
}

export function parseCosignerVkey(vkey: string): CosignerKey {
  const { name, keyId, typedKey } = splitVkey(vkey)
  for (const [algorithm, { type, keyBytes, spki }] of Object.entries(algorithms))
    if (typedKey[0] === type && typedKey.length === 1 + keyBytes) {
      const der = Buffer.concat([Buffer.from(spki, 'hex'), typedKey.subarray(1)])
      const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' })
      return { name, keyId, algorithm: algorithm as Algorithm, publicKey }
    }
  throw new NoteError('a cosigner has an Ed25519 (type 4) or ML-DSA-44 (type 6) key')
}

export function formatCosignerVkey(name: string, publicKey: KeyObject): string {
  const typedKey = Buffer.concat([Buffer.from([algorithms[algorithmOf(publicKey)].type]), rawOf(publicKey)])
  return `${name}+${noteKeyId(name, typedKey).toString('hex')}+${typedKey.toString('base64')}`
}

function messageOf(algorithm: Algorithm, text: string, name: string, seconds: bigint): Buffer {
  if (algorithm === 'ed25519') return Buffer.from(`cosignature/v1\ntime ${seconds}\n${text}`, 'utf8')
  const { origin, size, root }: Checkpoint = parseCheckpoint(text)
  const label = Buffer.from('subtree/v1\n\0', 'latin1')
  return Buffer.concat([label, short(name), u64(seconds), short(origin), u64(0n), u64(BigInt(size)), root])
}

function algorithmOf({ asymmetricKeyType }: KeyObject): Algorithm {
  if (asymmetricKeyType === 'ed25519' || asymmetricKeyType === 'ml-dsa-44') return asymmetricKeyType
  throw new NoteError('a cosigner has an Ed25519 or ML-DSA-44 key')
}

function rawOf(publicKey: KeyObject): Buffer {
  const { spki } = algorithms[algorithmOf(publicKey)]
  return publicKey.export({ format: 'der', type: 'spki' }).subarray(spki.length / 2)
}

/** A text with its length in one byte. */
function short(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8')
  if (bytes.length < 1 || bytes.length > 255) throw new NoteError('a cosigned name has 1 to 255 bytes')
  return Buffer.concat([Buffer.from([bytes.length]), bytes])
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(value)
  return bytes
}
