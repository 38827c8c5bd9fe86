import { createPublicKey, hash, type KeyObject, verify } from 'node:crypto'

// The half of the offline verifier (verify.ts) that reads what is signed: keys, notes, checkpoints, cosignatures and the policy. Like
// verify.ts it imports nothing but Node itself.

export type Key = {
  readonly name: string
  readonly id: Buffer
  readonly type: number
  readonly publicKey: KeyObject
  readonly fingerprint: string
}
type Line = { readonly name: string; readonly id: Buffer; readonly signature: Buffer }
export type Note = { readonly text: string; readonly lines: readonly Line[] }
export type Checkpoint = { readonly origin: string; readonly size: number; readonly root: Buffer }
export type Policy = {
  readonly logs: readonly string[]
  readonly witnesses: ReadonlyMap<string, Key>
  readonly groups: ReadonlyMap<string, { readonly needed: number; readonly members: readonly string[] }>
  readonly quorum: string
}
/** The first place that does not fit. Never leaves the verifier. */
export class Wrong extends Error {
  readonly place: string
  constructor(place: string, reason: string) {
    super(reason)
    this.place = place
  }
}

const hashSize = 32

// A type's number, the length of its public key, and what makes a SubjectPublicKeyInfo of it (RFC 8410, RFC 9881).
export const logKey = { type: 1, length: 32, spki: '302a300506032b6570032100' }
const cosignerKeys = [
  { ...logKey, type: 4 },
  { type: 6, length: 1312, spki: '30820532300b06096086480165030403110382052100' },
]

/** `<name>+<key id, 8 hex digits>+<base64 of the type and the public key>` */
export function parseKey(vkey: string, place: string, types: readonly (typeof logKey)[]): Key {
  const [, name = '', id = '', encoded = ''] = /^([!-*,-~]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/.exec(vkey) ?? []
  const typed = Buffer.from(encoded, 'base64')
  const kind = types.find(({ type, length }) => typed[0] === type && typed.length === 1 + length)
  if (!kind || typed.toString('base64') !== encoded) throw new Wrong(place, 'is not a verifier key of the right type')
  const computed = sha256(Buffer.concat([Buffer.from(`${name}\n`), typed])).subarray(0, 4)
  if (computed.toString('hex') !== id) throw new Wrong(place, 'its key id does not belong to its name and key')
  const der = Buffer.concat([Buffer.from(kind.spki, 'hex'), typed.subarray(1)])
  return {
    name,
    id: computed,
    type: kind.type,
    publicKey: createPublicKey({ key: der, format: 'der', type: 'spki' }),
    fingerprint: sha256(typed.subarray(1)).toString('hex'),
  }
}

/** The note that `key` signed. Every line must have the right form; those of other keys are not looked into here. */
export function openNote(bytes: Buffer, key: Key): Note {
  const note = bytes.toString('utf8')
  const split = note.lastIndexOf('\n\n')
  if (!Buffer.from(note, 'utf8').equals(bytes) || split < 0 || !note.endsWith('\n'))
    throw new Wrong('checkpoint', 'is not a signed note')
  const text = note.slice(0, split + 1)
  const lines = note
    .slice(split + 2, -1)
    .split('\n')
    .map(parseLine)
  const ours = lines.filter(({ name, id }) => name === key.name && id.equals(key.id))
  for (const { signature } of ours)
    if (!verify(null, Buffer.from(text, 'utf8'), key.publicKey, signature))
      throw new Wrong('checkpoint', 'its signature does not match its text')
  if (ours.length === 0) throw new Wrong('checkpoint', 'is not signed by the key')
  return { text, lines }
}

function parseLine(line: string): Line {
  const [, name = '', encoded = ''] = /^— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})$/u.exec(line) ?? []
  const bytes = Buffer.from(encoded, 'base64')
  if (bytes.length < 5 || bytes.toString('base64') !== encoded)
    throw new Wrong('checkpoint', 'has a line that is not a signature')
  return { name, id: bytes.subarray(0, 4), signature: bytes.subarray(4) }
}

export function parseCheckpoint(text: string, key: Key): Checkpoint {
  // What follows the root are extension lines, opaque and optional (tlog-checkpoint).
  const [origin, size = '', encoded = ''] = text.split('\n')
  const root = Buffer.from(encoded, 'base64')
  if (origin !== key.name) throw new Wrong('checkpoint', 'is that of another log than the key')
  if (!/^(0|[1-9][0-9]{0,14})$/.test(size)) throw new Wrong('checkpoint', 'has no tree size')
  if (root.length !== hashSize || root.toString('base64') !== encoded) throw new Wrong('checkpoint', 'has no root hash')
  return { origin, size: Number(size), root }
}

// --- the witnesses (C2SP tlog-cosignature, tlog-policy) ---

/** The witnesses that cosigned; they must be enough for the policy, and the log one of the policy's when it names any. */
export function checkPolicy(policy: Policy | undefined, { text, lines }: Note, vkey: string): string[] {
  if (!policy) return []
  if (policy.logs.length > 0 && !policy.logs.includes(vkey)) throw new Wrong('policy', 'does not name this log')
  const cosigned = [...policy.witnesses].filter(([, key]) => lines.some((line) => isCosigned(text, line, key)))
  const names = new Set(cosigned.map(([name]) => name))
  if (policy.quorum !== 'none' && !isMet(policy, policy.quorum, names))
    throw new Wrong(
      'checkpoint',
      `lacks cosignatures that the policy requires; it has: ${[...names].join(', ') || 'none'}`,
    )
  return [...names]
}

/** False for another key's line; a wrong signature of this key is a fault. */
function isCosigned(text: string, { name, id, signature }: Line, key: Key): boolean {
  if (name !== key.name || !id.equals(key.id)) return false
  const stamp = signature.subarray(0, 8)
  const said = key.type === 4 ? stampedText(text, stamp) : stampedTree(text, name, stamp)
  if (signature.length < 8 || !verify(null, said, key.publicKey, signature.subarray(8)))
    throw new Wrong('checkpoint', `the cosignature of ${name} does not match its text`)
  return true
}

function stampedText(text: string, stamp: Buffer): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${stamp.length === 8 ? stamp.readBigUInt64BE() : ''}\n${text}`, 'utf8')
}

function stampedTree(text: string, cosigner: string, stamp: Buffer): Buffer {
  const [origin = '', size = '0', root = ''] = text.split('\n')
  const range = Buffer.alloc(16)
  range.writeBigUInt64BE(BigInt(size), 8)
  const [name, log] = [cosigner, origin].map((word) => Buffer.from(word, 'utf8')) as [Buffer, Buffer]
  const label = Buffer.from('subtree/v1\n\0', 'latin1')
  const lengths = [name, log].map(({ length }) => Buffer.from([length])) as [Buffer, Buffer]
  return Buffer.concat([label, lengths[0], name, stamp, lengths[1], log, range, Buffer.from(root, 'base64')])
}

function isMet({ groups, ...rest }: Policy, name: string, names: ReadonlySet<string>): boolean {
  const group = groups.get(name)
  if (!group) return names.has(name)
  return group.members.filter((member) => isMet({ groups, ...rest }, member, names)).length >= group.needed
}

/** Lines of `log <vkey>`, `witness <name> <vkey>`, `group <name> <all, any or a number> <names>` and one `quorum <name>`. */
export function parsePolicy(text: string): Policy {
  const logs: string[] = []
  const witnesses = new Map<string, Key>()
  const groups = new Map<string, { needed: number; members: string[] }>()
  const grouped = new Set<string>()
  const quorums: string[] = []
  for (const [i, line] of text.split('\n').entries()) {
    const [word, name = '', third = '', ...rest] = line.split(/[ \t]+/).filter(Boolean)
    const wrong = new Wrong('policy', `line ${i + 1} is not understood`)
    if (word === undefined || word.startsWith('#')) continue
    const known = (one: string) => witnesses.has(one) || groups.has(one)
    if ((word === 'witness' || word === 'group') && (known(name) || name === 'none')) throw wrong
    if (word === 'log') logs.push(name)
    else if (word === 'witness') witnesses.set(name, parseKey(third, `policy line ${i + 1}`, cosignerKeys))
    else if (word === 'group') {
      const needed = third === 'all' ? rest.length : third === 'any' ? 1 : Number(third)
      const fits = Number.isInteger(needed) && needed >= 1 && needed <= rest.length
      if (!fits || rest.some((one) => !known(one) || grouped.has(one)) || new Set(rest).size < rest.length) throw wrong
      for (const one of rest) grouped.add(one)
      groups.set(name, { needed, members: rest })
    } else if (word === 'quorum' && (known(name) || name === 'none')) quorums.push(name)
    else throw wrong
  }
  const [quorum, ...more] = quorums
  const keys = [...witnesses.values()].map(({ fingerprint }) => fingerprint)
  if (quorum === undefined || more.length > 0) throw new Wrong('policy', 'does not have one quorum line')
  if (new Set(keys).size < keys.length) throw new Wrong('policy', 'has a key twice')
  return { logs, witnesses, groups, quorum }
}

export function sha256(bytes: Buffer): Buffer {
  return hash('sha256', bytes, 'buffer')
}
