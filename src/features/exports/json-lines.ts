import type { Sheet } from './table.ts'

/** One JSON object per row and line, in UTF-8; a cell without a value is null. Of several tables each row names its own. */
export async function* jsonLines(sheets: readonly Sheet[]): AsyncGenerator<string> {
  for (const { name, columns, rows } of sheets) {
    const first = sheets.length > 1 ? [['sheet', name]] : []
    for await (const page of rows()) {
      let text = ''
      for (const row of page) {
        const cells = columns.map(({ key }, i) => [key, row[i] ?? null])
        text += `${JSON.stringify(Object.fromEntries([...first, ...cells]))}\n`
      }
      yield text
    }
  }
}
