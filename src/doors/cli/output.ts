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

/** A plain table, columns padded; `empty` is what to say when there are no rows. */
export function table(
  rows: readonly Json[],
  columns: Readonly<Record<string, (row: Json) => unknown>>,
  empty: string,
): string {
  if (rows.length === 0) return empty
  const names = Object.keys(columns)
  const cells = rows.map((row) => names.map((name) => clean(columns[name]?.(row))))
  const widths = names.map((name, i) =>
    Math.min(60, Math.max(name.length, ...cells.map((line) => line[i]?.length ?? 0))),
  )
  const line = (texts: readonly string[]) =>
    texts
      .map((text, i) => fit(text, widths[i] ?? 0))
      .join('  ')
      .trimEnd()
  return [line(names.map((name) => name.toUpperCase())), ...cells.map(line)].join('\n')
}

/** `name: value` lines for one thing. */
export function fields(thing: Json): string {
  const names = Object.keys(thing)
  const width = Math.max(0, ...names.map((name) => name.length))
  return names.map((name) => `${name.padEnd(width)}  ${clean(thing[name])}`).join('\n')
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
export function clean(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-'
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g, '�')
}

function fit(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width)
}
