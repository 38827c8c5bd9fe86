import { dlopen, getRawPointer } from 'node:ffi'
import { readFileSync, writeSync } from 'node:fs'

// A process of its own for each use of a token: a vendor's library has bugs of its own, blocks while the device works, and sees a
// token that was put back only when it begins anew. What to do comes in on standard input, the answer leaves on descriptor 3; neither
// is ever an argument. PKCS#11 v2.40: https://docs.oasis-open.org/pkcs11/pkcs11-base/v2.40/

export type Pkcs11Task = {
  readonly module: string
  readonly token?: string | undefined
  readonly slot?: number | undefined
  readonly key: string
  readonly pin: string
  readonly verb: 'wrap' | 'unwrap'
  /** All in base64. */
  readonly nonce: string
  readonly aad: string
  readonly input: string
}

export type Pkcs11Answer =
  | { readonly output: string; readonly nonce: string }
  | {
      readonly fault: 'module' | 'token' | 'pin' | 'key' | 'unsafe-key' | 'ciphertext' | 'device'
      readonly code?: string
    }

class Fault extends Error {
  readonly fault: Extract<Pkcs11Answer, { fault: string }>['fault']
  readonly code: bigint | undefined
  constructor(fault: Fault['fault'], code?: bigint) {
    super(fault)
    this.fault = fault
    this.code = code
  }
}

const ulong = 'uint64' as const
const pointer = 'pointer' as const
const returns = <const A extends readonly (typeof ulong | typeof pointer | 'uint8')[]>(...args: A) =>
  ({ return: ulong, arguments: args }) as const

const functions = {
  C_Initialize: returns(pointer),
  C_Finalize: returns(pointer),
  C_GetSlotList: returns('uint8', pointer, pointer),
  C_GetTokenInfo: returns(ulong, pointer),
  C_OpenSession: returns(ulong, ulong, pointer, pointer, pointer),
  C_Login: returns(ulong, ulong, pointer, ulong),
  C_FindObjectsInit: returns(ulong, pointer, ulong),
  C_FindObjects: returns(ulong, pointer, ulong, pointer),
  C_FindObjectsFinal: returns(ulong),
  C_GetAttributeValue: returns(ulong, ulong, pointer, ulong),
  C_EncryptInit: returns(ulong, pointer, ulong),
  C_Encrypt: returns(ulong, pointer, ulong, pointer, pointer),
  C_DecryptInit: returns(ulong, pointer, ulong),
  C_Decrypt: returns(ulong, pointer, ulong, pointer, pointer),
} as const

type Library = ReturnType<typeof load>
type Session = { readonly library: Library; readonly handle: bigint }

const none = 0n
const serialSession = 4n
const user = 1n
const class_ = 0x0n
const label = 0x3n
const keyType = 0x100n
const sensitive = 0x103n
const valueLength = 0x161n
const extractable = 0x162n
const secretKey = 4n
const aes = 0x1fn
const aesGcm = 0x1087n
const alreadyLoggedIn = 0x100n
const longestOutput = 4096
const held: Buffer[] = []

function main(): void {
  const task = JSON.parse(readFileSync(0, 'utf8')) as Pkcs11Task
  writeSync(3, JSON.stringify(run(task)))
}

function run(task: Pkcs11Task): Pkcs11Answer {
  let library: Library | undefined
  try {
    library = load(task.module)
    check(library.C_Initialize(none), 'module')
    const session = logIn(library, task)
    return useKey(session, safeKey(session, task.key), task)
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    return { fault: error.fault, ...(error.code !== undefined && { code: `0x${error.code.toString(16)}` }) }
  } finally {
    library?.C_Finalize(none) // ends the session too
  }
}

function load(path: string) {
  try {
    return dlopen(path, functions).functions
  } catch {
    throw new Fault('module')
  }
}

function logIn(library: Library, { token, slot, pin }: Pkcs11Task): Session {
  const slots = slotsOf(library).filter((id) =>
    token === undefined ? id === BigInt(slot ?? -1) : labelOf(library, id) === token,
  )
  const [found] = slots
  // Two tokens of one label: which holds the key is not for us to guess.
  if (found === undefined || slots.length > 1) throw new Fault('token')
  const out = Buffer.alloc(8)
  check(library.C_OpenSession(found, serialSession, none, none, at(out)), 'token')
  const session = { library, handle: out.readBigUInt64LE() }
  const bytes = Buffer.from(pin)
  const code = library.C_Login(session.handle, user, at(bytes), BigInt(bytes.length))
  bytes.fill(0)
  if (code !== alreadyLoggedIn) check(code, 'pin')
  return session
}

function slotsOf(library: Library): bigint[] {
  const count = Buffer.alloc(8)
  check(library.C_GetSlotList(1, none, at(count)), 'token')
  const list = Buffer.alloc(8 * Math.max(1, Number(count.readBigUInt64LE())))
  check(library.C_GetSlotList(1, at(list), at(count)), 'token')
  return Array.from({ length: Number(count.readBigUInt64LE()) }, (_, i) => list.readBigUInt64LE(8 * i))
}

/** CK_TOKEN_INFO begins with the label, 32 bytes padded with spaces. */
function labelOf(library: Library, slot: bigint): string | undefined {
  const info = Buffer.alloc(512)
  return library.C_GetTokenInfo(slot, at(info)) === 0n ? info.toString('utf8', 0, 32).trimEnd() : undefined
}

/** The one AES-256 key of this label that cannot leave the token. */
function safeKey(session: Session, name: string): bigint {
  const { library, handle } = session
  const wanted = template([
    [class_, number(secretKey)],
    [label, Buffer.from(name)],
  ])
  check(library.C_FindObjectsInit(handle, at(wanted.bytes), wanted.count), 'device')
  const [found, count] = [Buffer.alloc(16), Buffer.alloc(8)]
  check(library.C_FindObjects(handle, at(found), 2n, at(count)), 'device')
  check(library.C_FindObjectsFinal(handle), 'device')
  if (count.readBigUInt64LE() === 0n) throw new Fault('key')
  // With two of one label, what one wrapped might be given to the other.
  if (count.readBigUInt64LE() !== 1n) throw new Fault('unsafe-key')
  const key = found.readBigUInt64LE()
  const [type, length, isSensitive, isExtractable] = [
    Buffer.alloc(8),
    Buffer.alloc(8),
    Buffer.alloc(1),
    Buffer.alloc(1),
  ]
  const asked = template([
    [keyType, type],
    [valueLength, length],
    [sensitive, isSensitive],
    [extractable, isExtractable],
  ])
  check(library.C_GetAttributeValue(handle, key, at(asked.bytes), asked.count), 'unsafe-key')
  const isAes256 = type.readBigUInt64LE() === aes && length.readBigUInt64LE() === 32n
  if (!isAes256 || isSensitive[0] !== 1 || isExtractable[0] !== 0) throw new Fault('unsafe-key')
  return key
}

function useKey({ library, handle }: Session, key: bigint, task: Pkcs11Task): Pkcs11Answer {
  const [nonce, aad, input] = [task.nonce, task.aad, task.input].map((text) => Buffer.from(text, 'base64')) as [
    Buffer,
    Buffer,
    Buffer,
  ]
  // CK_GCM_PARAMS: pIv, ulIvLen, ulIvBits, pAAD, ulAADLen, ulTagBits.
  const params = words([at(nonce), BigInt(nonce.length), 8n * BigInt(nonce.length), at(aad), BigInt(aad.length), 128n])
  const mechanism = words([aesGcm, at(params), BigInt(params.length)])
  const isWrap = task.verb === 'wrap'
  const begin = isWrap ? library.C_EncryptInit : library.C_DecryptInit
  const finish = isWrap ? library.C_Encrypt : library.C_Decrypt
  check(begin(handle, at(mechanism), key), 'unsafe-key')
  const [output, length] = [Buffer.alloc(longestOutput), number(BigInt(longestOutput))]
  const code = finish(handle, at(input), BigInt(input.length), at(output), at(length))
  check(code, isWrap ? 'device' : 'ciphertext')
  const size = Number(length.readBigUInt64LE())
  if (size > longestOutput) throw new Fault('device')
  // Some tokens draw the nonce themselves and write it where ours was.
  return { output: output.toString('base64', 0, size), nonce: nonce.toString('base64') }
}

/** CK_ATTRIBUTE each: type, pValue, ulValueLen. The buffers are filled in when values are asked for. */
function template(rows: readonly (readonly [type: bigint, value: Buffer])[]): { bytes: Buffer; count: bigint } {
  const bytes = words(rows.flatMap(([type, value]) => [type, at(value), BigInt(value.length)]))
  return { bytes, count: BigInt(rows.length) }
}

/** CK_ULONGs and pointers as they lie in memory on 64-bit Linux and macOS. */
function words(values: readonly bigint[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length)
  for (const [i, value] of values.entries()) bytes.writeBigUInt64LE(value, 8 * i)
  return bytes
}

const number = (value: bigint): Buffer => words([value])

/** Where the bytes lie. They are held to the end of the process: the library keeps addresses, which no collector sees. */
function at(bytes: Buffer): bigint {
  held.push(bytes)
  return getRawPointer(bytes)
}

/** A removed device or token says so wherever it is noticed; everything else is the step's own fault. */
function check(code: bigint, fault: Fault['fault']): void {
  if (code === 0n) return
  const isGone = [0x3n, 0x30n, 0x31n, 0x32n, 0xe0n, 0xe1n].includes(code)
  throw new Fault(isGone ? 'token' : fault, code)
}

main()
