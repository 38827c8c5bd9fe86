/** One figure. A comparison says what it was held against in the same run, and the ratio to it. */
export type Line = {
  readonly figure: string
  readonly value: number
  readonly unit: string
  readonly against?: string
  readonly ratio?: number
}
export type Print = (line: Line) => void

/** The value below which `share` (0 to 1) of the values lie. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export function round(value: number, digits = 2): number {
  return Number(value.toFixed(digits))
}

/** Progress for a person. Standard output carries figures only. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}
