import { randomFillSync } from 'node:crypto'
import { type Form, shortest } from './redact-forms.ts'

/**
 * A text to find. It is kept as two keyed hashes only: neither a heap dump nor a bug in here can print it. The hashes are quick,
 * not strong: who has the whole memory of the process has their key, and the vault's keys as well.
 */
export type Pattern = {
  readonly head: number
  readonly length: number
  readonly hashes: readonly [number, number]
  readonly before: number
  readonly after: number
  users: number
}

export type Matcher = {
  /** Finds `form` from now on. Adding it twice needs removing it twice. */
  add(form: Form): Pattern
  remove(pattern: Pattern): void
  /** Where known forms are in `text`: start and end, in order, not overlapping. */
  find(text: string): readonly Range[]
  isEmpty(): boolean
}

export type Range = { start: number; end: number }

const longestShift = shortest - 2
const tableSize = 2 ** 18

/**
 * Finds many texts in one pass (Wu and Manber, 1994): a table over blocks of three characters tells how far the window of
 * eight may move, so most of a text is never looked at; where it may not move, a hash of the window leads to the few
 * candidates. All candidates at one place share one pass over at most the longest of them, whatever the texts are.
 */
export function makeMatcher(): Matcher {
  const keys = makeKeys()
  const byHead = new Map<number, Pattern[]>()
  const shifts = new Uint8Array(tableSize).fill(longestShift)

  return { add, remove, find, isEmpty: () => byHead.size === 0 }

  function add({ text, before, after }: Form): Pattern {
    const [seedA, keyA, seedB, keyB] = keys()
    const head = hash(text, seedA, 0, shortest, keyA)
    const hashes = [hash(text, seedA, 0, text.length, keyA), hash(text, seedB, 0, text.length, keyB)] as const
    const bucket = byHead.get(head) ?? []
    const old = bucket.find(
      ({ length, hashes: [a, b] }) => length === text.length && a === hashes[0] && b === hashes[1],
    )
    const pattern = old ?? { head, length: text.length, hashes, before, after, users: 0 }
    pattern.users += 1
    if (old) return old
    byHead.set(
      head,
      [...bucket, pattern].sort((a, b) => a.length - b.length),
    )
    for (let i = 0; i < longestShift; i++) {
      const at = block(text, i)
      shifts[at] = Math.min(shifts[at] ?? 0, longestShift - 1 - i)
    }
    return pattern
  }

  function remove(pattern: Pattern): void {
    pattern.users -= 1
    if (pattern.users > 0) return
    const rest = (byHead.get(pattern.head) ?? []).filter((other) => other !== pattern)
    if (rest.length > 0) byHead.set(pattern.head, rest)
    else byHead.delete(pattern.head)
    // Shifts that stay too short cost time and never a match; an empty matcher starts afresh.
    if (byHead.size === 0) shifts.fill(longestShift)
  }

  function find(text: string): readonly Range[] {
    const ranges: Range[] = []
    const [seedA, keyA] = keys()
    let at = 0
    while (at + shortest <= text.length) {
      const shift = shifts[block(text, at + shortest - 3)] ?? 0
      if (shift > 0) {
        at += shift
        continue
      }
      const bucket = byHead.get(hash(text, seedA, at, at + shortest, keyA))
      const match = bucket && longest(bucket, text, at)
      if (match) insert(ranges, widen(match, text, at))
      at += 1
    }
    return ranges
  }

  function longest(bucket: readonly Pattern[], text: string, at: number): Pattern | undefined {
    let found: Pattern | undefined
    let length = 0
    const [seedA, keyA, seedB, keyB] = keys()
    let [a, b] = [seedA, seedB]
    for (const pattern of bucket) {
      if (at + pattern.length > text.length) break
      a = hash(text, a, at + length, at + pattern.length, keyA)
      b = hash(text, b, at + length, at + pattern.length, keyB)
      length = pattern.length
      if (a === pattern.hashes[0] && b === pattern.hashes[1]) found = pattern
    }
    return found
  }
}

/** Two seeds and two odd multipliers. Outside the heap, so that a heap snapshot has the hashes without what they are made with. */
function makeKeys(): () => readonly [number, number, number, number] {
  // A typed array of its own would lie in the heap; one over a buffer does not.
  const bytes = randomFillSync(new Int32Array(new ArrayBuffer(16)))
  return () => [bytes[0] ?? 0, (bytes[1] ?? 0) | 1, bytes[2] ?? 0, (bytes[3] ?? 0) | 1]
}

function block(text: string, at: number): number {
  return (text.charCodeAt(at) ^ (text.charCodeAt(at + 1) << 6) ^ (text.charCodeAt(at + 2) << 12)) & (tableSize - 1)
}

/** Goes on with the hash `h` over the characters from `from` to `to`. */
function hash(text: string, h: number, from: number, to: number, key: number): number {
  let sum = h
  for (let i = from; i < to; i++) {
    sum = Math.imul(sum ^ (text.charCodeAt(i) + 1), key)
    sum ^= sum >>> 15
  }
  return sum
}

/** Takes in the base64 characters at both edges, which hold the first and last bits of the value. */
function widen({ length, before, after }: Pattern, text: string, at: number): Range {
  const end = at + length
  return {
    start: before === 1 && isBase64(text.charCodeAt(at - 1)) ? at - 1 : at,
    end: after === 1 && isBase64(text.charCodeAt(end)) ? end + 1 : end,
  }
}

function isBase64(code: number): boolean {
  return (
    (code >= 48 && code <= 57) ||
    (code >= 65 && code <= 90) ||
    (code >= 97 && code <= 122) ||
    [43, 45, 47, 95].includes(code)
  )
}

/** Ranges come in order of their starts (an edge may start one earlier); touching ones become one. */
function insert(ranges: Range[], range: Range): void {
  const last = ranges.at(-1)
  if (!last || range.start > last.end) {
    ranges.push(range)
    return
  }
  last.start = Math.min(last.start, range.start)
  last.end = Math.max(last.end, range.end)
}
