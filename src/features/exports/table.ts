/** What a cell holds decides how each format writes it, and what the sanitised profile makes of it. */
export type Column = { readonly key: string; readonly title: string } & (
  | { readonly type: 'number' | 'time' | 'flag' }
  /** What a text says about the estate: `name`, `address` and `serial` can be replaced by a pseudonym, `free` only left out. */
  | { readonly type: 'text'; readonly holds: 'name' | 'address' | 'serial' | 'free' }
  /** Words of a closed list, which say nothing about the estate. Systems may write others; those count as `free`. */
  | { readonly type: 'text'; readonly holds: 'label'; readonly words: ReadonlySet<string> }
)

/** `time` is ISO 8601 in UTC. */
export type Cell = string | number | boolean | null
export type Row = readonly Cell[]

/** One table of an export; `rows` comes in pages, so that memory stays flat however many there are. */
export type Sheet = {
  readonly name: string
  readonly columns: readonly Column[]
  readonly rows: () => AsyncIterable<readonly Row[]>
}

/** The same tables, each page of rows passed through `change`. */
export function mapPages(sheets: readonly Sheet[], change: (rows: readonly Row[]) => readonly Row[]): Sheet[] {
  return sheets.map((sheet) => ({
    ...sheet,
    async *rows() {
      for await (const page of sheet.rows()) yield change(page)
    },
  }))
}
