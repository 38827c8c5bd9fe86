import type { Dialect } from './database.ts'

// A database as text, the same for both dialects: for each table one line that names it and its columns, then one line a row.
// `{"table":"secret","columns":["id","name"]}` `["sec_1","token"]`. Bytes are {"b":"<base64>"}, integers beyond 2^53 {"i":"<digits>"}.

export type Value = null | string | number | bigint | Uint8Array
export type TableShape = { readonly name: string; readonly columns: readonly string[] }
export type Step = { readonly id: number; readonly name: string }

/** One state of a database that does not change while it is read, whoever writes meanwhile. */
export type Snapshot = {
  readonly dialect: Dialect
  /** Parents before children, so that rows can be put back in this order. */
  readonly tables: readonly (TableShape & { readonly rows: number })[]
  readonly migrations: readonly Step[]
  /** The first row of each table that was asked for. */
  readonly first: Readonly<Record<string, Readonly<Record<string, Value>> | undefined>>
  read(table: TableShape): Iterable<readonly Value[]> | AsyncIterable<readonly Value[]>
  close(): Promise<void>
}

export type SnapshotOptions = {
  /** Tables that are made of others and are not read. */
  readonly leaveOut: readonly string[]
  readonly first: readonly string[]
}

export function encodeTable({ name, columns }: TableShape): string {
  return `${JSON.stringify({ table: name, columns })}\n`
}

export function encodeRow(row: readonly Value[]): string {
  return `${JSON.stringify(row.map(encode))}\n`
}

function encode(value: Value): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : { i: value.toString() }
  }
  if (value instanceof Uint8Array)
    return { b: Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64') }
  if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError(`${value} cannot be written down`)
  return value
}

export type Line = { readonly table: TableShape } | { readonly row: readonly Value[] }

/** Lines out of pieces that end anywhere. */
export function* decodeLines(pieces: Iterable<Uint8Array>): Generator<Line> {
  let rest: Buffer[] = []
  for (const piece of pieces) {
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length)
    let from = 0
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, from)) {
      rest.push(bytes.subarray(from, end))
      yield decodeLine(Buffer.concat(rest).toString('utf8'))
      rest = []
      from = end + 1
    }
    if (from < bytes.length) rest.push(bytes.subarray(from))
  }
  if (rest.length > 0) throw new TypeError('The content ends within a line')
}

function decodeLine(text: string): Line {
  const line = JSON.parse(text) as unknown[] | { table: string; columns: string[] }
  return Array.isArray(line) ? { row: line.map(decode) } : { table: { name: line.table, columns: line.columns } }
}

function decode(value: unknown): Value {
  if (typeof value !== 'object' || value === null) return value as Value
  const { b, i } = value as { b?: string; i?: string }
  return i === undefined ? Buffer.from(b ?? '', 'base64') : BigInt(i)
}

/** Tables in an order in which each comes after those that it refers to. */
export function inOrder<T extends { readonly name: string }>(
  tables: readonly T[],
  references: readonly { readonly from: string; readonly to: string }[],
): T[] {
  const ordered: T[] = []
  let waiting = [...tables]
  while (waiting.length > 0) {
    const names = new Set(waiting.map(({ name }) => name))
    const free = waiting.filter(
      ({ name }) => !references.some(({ from, to }) => from === name && to !== name && names.has(to)),
    )
    if (free.length === 0) throw new Error(`Tables refer to each other in a circle: ${[...names].join(', ')}`)
    ordered.push(...free)
    waiting = waiting.filter((table) => !free.includes(table))
  }
  return ordered
}
