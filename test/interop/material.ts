import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

/** What the interop tests share: running `verify.py`, and logs that are made here, without the product. */
export const verifier = join(import.meta.dirname, 'verify.py')

const python = spawnSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 8))'])
export const noPython =
  python.error !== undefined ? 'python3 is not installed' : python.status === 0 ? false : 'python3 is older than 3.8'

export type Run = { readonly code: number | null; readonly text: string }

export function run(program: string, args: readonly string[], env: Record<string, string> = {}, input = '') {
  const child = spawn(program, args, {
    env: { PATH: process.env.PATH, PYTHONDONTWRITEBYTECODE: '1', PYTHONIOENCODING: 'utf-8', ...env },
    timeout: 240_000,
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (more: string) => {
      text += more
    })
  // A program that ends without reading what it was given has its say in its exit code.
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  return new Promise<Run>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, text }))
  })
}

export function verify(...args: string[]): Promise<Run> {
  return run('python3', [verifier, ...args])
}

/** Not taken, and the place that is named fits. */
export function refused({ code, text }: Run, place: RegExp, what = ''): void {
  assert.equal(code, 1, `${what} was not refused: ${text}`)
  assert.match(text.split('\n').find((line) => line.startsWith('FAILED: ')) ?? text, place, what)
}

/** All files of an exported log, as paths from its top. */
export function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort()
}

export function put(folder: string, path: string, data: string | Uint8Array): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), data)
}

/** The entries of a bundle. */
export function unbundle(data: Buffer): Buffer[] {
  const entries: Buffer[] = []
  for (let at = 0; at < data.length; at += 2 + data.readUInt16BE(at))
    entries.push(data.subarray(at + 2, at + 2 + data.readUInt16BE(at)))
  return entries
}

export function bundle(entries: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    entries.flatMap((entry) => {
      const size = Buffer.alloc(2)
      size.writeUInt16BE(entry.length)
      return [size, entry]
    }),
  )
}

const sha256 = (...parts: readonly Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest()
const node = (left: Buffer, right: Buffer) => sha256(Buffer.of(1), left, right)

function treeHash(hashes: readonly Buffer[]): Buffer {
  if (hashes.length === 0) return sha256()
  if (hashes.length === 1) return hashes[0] as Buffer
  let k = 1
  while (k * 2 < hashes.length) k *= 2
  return node(treeHash(hashes.slice(0, k)), treeHash(hashes.slice(k)))
}

export function tilePath(level: number | string, index: number, width: number): string {
  let path = String(index % 1000).padStart(3, '0')
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000))
    path = `x${String(rest % 1000).padStart(3, '0')}/${path}`
  return `tile/${level}/${path}${width === 256 ? '' : `.p/${width}`}`
}

/** A key that signs notes: `<name>+<key id>+<base64 of type and key>`. */
export function noteKey(name: string) {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)
  const typed = Buffer.concat([Buffer.of(1), raw])
  const id = sha256(Buffer.from(`${name}\n`), typed).subarray(0, 4)
  return { name, id, privateKey, vkey: `${name}+${id.toString('hex')}+${typed.toString('base64')}` }
}

export function signedNote(text: string, key: { name: string; id: Buffer; privateKey: KeyObject }): string {
  const signature = Buffer.concat([key.id, sign(null, Buffer.from(text), key.privateKey)])
  return `${text}\n— ${key.name} ${signature.toString('base64')}\n`
}

type Shape = { readonly key?: ReturnType<typeof noteKey>; readonly forged?: number; readonly extension?: string }

const entriesOf = (size: number, forged = -1) =>
  Array.from({ length: size }, (_, i) => Buffer.from(i === 3 ? '' : i === forged ? 'forged' : `entry ${i}`))
const leavesOf = (size: number, forged?: number) => entriesOf(size, forged).map((entry) => sha256(Buffer.of(0), entry))

/** The signed checkpoint of the log that `writeLog` makes. */
export function checkpointOf(size: number, { key = noteKey('log.example.org/made-here'), forged, extension }: Shape) {
  const lines = [key.name, size, treeHash(leavesOf(size, forged)).toString('base64'), ...(extension ? [extension] : [])]
  return signedNote(`${lines.join('\n')}\n`, key)
}

/** RFC 6962 section 2.1.2: the consistency proof between two sizes of the log that `writeLog` makes. */
export function consistency(older: number, newer: number): Buffer[] {
  const subproof = (m: number, leaves: readonly Buffer[], isWhole: boolean): Buffer[] => {
    if (m === leaves.length) return isWhole ? [] : [treeHash(leaves)]
    let k = 1
    while (k * 2 < leaves.length) k *= 2
    const [left, right] = [leaves.slice(0, k), leaves.slice(k)]
    return m <= k
      ? [...subproof(m, left, isWhole), treeHash(right)]
      : [...subproof(m - k, right, false), treeHash(left)]
  }
  return older === 0 ? [] : subproof(older, leavesOf(newer), true)
}

/** A log of `size` entries that no product wrote, for the shapes that a server would take too long to grow to. */
export function writeLog(folder: string, size: number, shape: Shape = {}): void {
  const { key = noteKey('log.example.org/made-here') } = shape
  const entries = entriesOf(size, shape.forged)
  for (let at = 0; at < size; at += 256) {
    const some = entries.slice(at, at + 256)
    put(folder, tilePath('entries', at / 256, some.length), bundle(some))
  }
  let hashes: readonly Buffer[] = leavesOf(size, shape.forged)
  for (let level = 0; hashes.length > 0; level++) {
    const above: Buffer[] = []
    for (let at = 0; at < hashes.length; at += 256) {
      const some = hashes.slice(at, at + 256)
      put(folder, tilePath(level, at / 256, some.length), Buffer.concat(some))
      if (some.length === 256) above.push(treeHash(some))
    }
    hashes = above
  }
  put(folder, 'checkpoint', checkpointOf(size, { ...shape, key }))
  put(folder, 'vkey', `${key.vkey}\n`)
}

export function flip(folder: string, path: string, at: number): void {
  const data = readFileSync(join(folder, path))
  data[at] = (data[at] as number) ^ 1
  writeFileSync(join(folder, path), data)
}
