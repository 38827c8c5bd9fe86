import { csv } from './csv.ts'
import { jsonLines } from './json-lines.ts'
import type { Sheet } from './table.ts'
import { xlsx } from './xlsx.ts'

type Format = {
  readonly extension: string
  readonly mediaType: string
  readonly write: (sheets: readonly Sheet[]) => AsyncIterable<string | Uint8Array>
}

export const formatNames = ['csv', 'xlsx', 'jsonl'] as const
export type FormatName = (typeof formatNames)[number]

export const formats: Readonly<Record<FormatName, Format>> = {
  csv: { extension: 'csv', mediaType: 'text/csv; charset=utf-8', write: (sheets) => csv(onlyOne(sheets)) },
  xlsx: {
    extension: 'xlsx',
    mediaType: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
    write: (sheets) => xlsx(sheets),
  },
  jsonl: { extension: 'jsonl', mediaType: 'application/jsonl; charset=utf-8', write: jsonLines },
}

/** The room refuses several sheets as CSV before a run starts. */
function onlyOne(sheets: readonly Sheet[]): Sheet {
  const [sheet, ...more] = sheets
  if (!sheet || more.length > 0) throw new TypeError('A CSV file is one table')
  return sheet
}
