import type { Json } from './client.ts'

export type Output = {
  /** `--json`: what the API answered, unchanged, one document. */
  readonly json: boolean
  readonly out: NodeJS.WriteStream
  readonly err: NodeJS.WriteStream
}

/** Prints the answer: as JSON when asked, else through `human`. */
export function print({ json, out }: Output, answer: unknown, human: () => string): void {
  out.write(`${json ? JSON.stringify(answer, null, 2) : human()}\n`)
}

const leastWidth = 12

/**
 * A plain table, columns padded; `empty` is what to say when there are no rows. On a terminal it is made to fit: the last
 * column goes on in further lines, others end in `…`. Ids stay whole, and so does everything that goes to a file or a pipe.
 */
export function table(
  rows: readonly Json[],
  columns: Readonly<Record<string, (row: Json) => unknown>>,
  empty: string,
  room: number = process.stdout.columns || Number.POSITIVE_INFINITY,
): string {
  if (rows.length === 0) return empty
  const names = Object.keys(columns)
  const cells = [
    names.map((name) => name.toUpperCase()),
    ...rows.map((row) => names.map((n) => cell(columns[n]?.(row)))),
  ]
  const widths = names.map((_, i) => Math.max(...cells.map((line) => line[i]?.length ?? 0)))
  const tooWide = () => widths.reduce((sum, width) => sum + width + 2, -2) - room
  const last = names.length - 1
  // The columns that may give way, the last one first.
  for (const i of [last, ...widths.keys().filter((column) => column !== last)].filter((c) => names[c] !== 'id')) {
    const least = i === last ? 2 * leastWidth : leastWidth
    if (tooWide() > 0) widths[i] = Math.min(widths[i] ?? 0, Math.max(least, (widths[i] ?? 0) - tooWide()))
  }
  return cells.flatMap((line) => drawn(line, widths)).join('\n')
}

/** One row: the last cell is wrapped at its width, all others are cut with a sign. */
function drawn(texts: readonly string[], widths: readonly number[]): string[] {
  const start = texts.slice(0, -1).map((text, i) => fit(text, widths[i] ?? 0))
  const [first = '', ...more] = wrapped(texts.at(-1) ?? '', widths.at(-1) ?? 0)
  const indent = ' '.repeat(start.reduce((sum, text) => sum + text.length + 2, 0))
  return [[...start, first].join('  ').trimEnd(), ...more.map((text) => indent + text)]
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  let rest = text
  while (rest.length > width) {
    const space = rest.lastIndexOf(' ', width)
    const end = space > 0 ? space : width
    lines.push(rest.slice(0, end).trimEnd())
    rest = rest.slice(end).trimStart()
  }
  return [...lines, rest]
}

/** `name  value` lines for one thing; what lies inside a value is indented below its name. */
export function fields(thing: Json, now: number = Date.now()): string {
  return block(thing, now).join('\n')
}

function block(thing: Json, now: number): string[] {
  const names = Object.keys(thing)
  const width = Math.max(0, ...names.filter((name) => !inside(thing[name], now)).map((name) => name.length))
  return names.flatMap((name) => {
    const below = inside(thing[name], now)
    if (below) return [clean(name), ...below.map((line) => `  ${line}`)]
    return [`${clean(name).padEnd(width)}  ${cell(thing[name])}${ago(thing[name], now)}`]
  })
}

/** The lines of a value that one line does not hold, else undefined. */
function inside(value: unknown, now: number): string[] | undefined {
  if (typeof value === 'string' && value.includes('\n')) return value.trimEnd().split('\n').map(clean)
  if (Array.isArray(value) && value.some(isRecord))
    return value.flatMap((one) => {
      const [first = '', ...rest] = isRecord(one) ? block(one, now) : [cell(one)]
      return [`- ${first}`, ...rest.map((line) => `  ${line}`)]
    })
  return isRecord(value) && Object.keys(value).length > 0 ? block(value, now) : undefined
}

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A value in one line: times short and in UTC, lists with commas, nothing as `-`. */
export function cell(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-'
  if (Array.isArray(value)) return value.map(cell).join(', ') || '-'
  if (isRecord(value)) {
    const pairs = Object.entries(value).map(([name, one]) => `${clean(name)} ${cell(one)}`)
    return pairs.join(', ') || '-'
  }
  const text = String(value)
  return clean(isTime(text) ? `${text.slice(0, 10)} ${text.slice(11, 19)}Z` : text) || '-'
}

function isTime(text: string): boolean {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(text)
}

const units = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
] as const

/** How far a time is from now: ` (3 minutes ago)`, ` (in 89 days)`; nothing for what is not a time. */
export function ago(value: unknown, now: number): string {
  if (typeof value !== 'string' || !isTime(value)) return ''
  const away = Date.parse(value) - now
  const [name, ms] = units.find(([, size]) => Math.abs(away) >= size) ?? []
  if (!name || !ms) return ' (now)'
  const count = Math.round(Math.abs(away) / ms)
  const words = `${count} ${name}${count === 1 ? '' : 's'}`
  return away < 0 ? ` (${words} ago)` : ` (in ${words})`
}

/** One progress line that is redrawn on a terminal and written now and then elsewhere. Nothing with `--json`. */
export function makeProgress({ err, json }: Output) {
  let last = 0
  let drawn = false
  return {
    show(text: string): void {
      if (json) return
      if (err.isTTY) err.write(`\r\x1b[2K${text.slice(0, (err.columns ?? 80) - 1)}`)
      else if (Date.now() - last > 2000) err.write(`${text}\n`)
      else return
      last = Date.now()
      drawn = true
    },
    end(): void {
      if (drawn && err.isTTY && !json) err.write('\r\x1b[2K')
    },
  }
}

/** `[#####.....]  50 %` */
export function bar(done: number, total: number | null, width = 24): string {
  if (!total) return `[${'.'.repeat(width)}]`
  const share = Math.min(1, done / total)
  const filled = Math.round(share * width)
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}] ${String(Math.floor(share * 100)).padStart(3)} %`
}

/** Text from a connected system may carry terminal control sequences; none reaches the terminal. */
export function clean(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/g, '�')
}

function fit(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width)
}
