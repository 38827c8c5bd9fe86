import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { ZipFile } from 'yazl'
import { sheetName } from './sheet-name.ts'
import { declaration, escaped, main, makeReader, type Reader, sheetXml } from './sheet-xml.ts'
import type { Sheet } from './table.ts'

// SpreadsheetML (ECMA-376 part 1), the few parts that a workbook of plain tables needs.

const relations = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships'
const packages = 'http://schemas.openxmlformats.org/package/2006'

type Options = {
  /** Rows that a sheet can have, the header among them; what is more goes on in a further sheet. */
  readonly sheetRows?: number
}

/** A workbook as a stream of bytes, never whole in memory. */
export async function* xlsx(
  sheets: readonly Sheet[],
  { sheetRows = 1_048_576 }: Options = {},
): AsyncGenerator<Uint8Array> {
  const zip = new ZipFile()
  const output = zip.outputStream as Readable
  const fail = (error: unknown) => output.destroy(error as Error)
  zip.on('error', fail)
  // Begun by the first reader, not before: a fault of a stream that nobody listens to would end the process.
  write(zip, output, sheets, sheetRows).catch(fail)
  yield* output
}

async function write(zip: ZipFile, output: Readable, sheets: readonly Sheet[], sheetRows: number): Promise<void> {
  const names: string[] = []
  for (const sheet of sheets) {
    const reader = makeReader(sheet.rows())
    try {
      // A further part is started only when there is a row for it; an empty table still has its header.
      do {
        names.push(sheetName(sheet.name, names))
        await add(zip, output, `xl/worksheets/sheet${names.length}.xml`, sheetXml(sheet.columns, reader, sheetRows))
      } while (await reader.hasMore())
    } finally {
      await close(reader)
    }
  }
  const text = (path: string, xml: string) => zip.addBuffer(Buffer.from(declaration + xml), path)
  text('xl/workbook.xml', workbookXml(names))
  text('xl/_rels/workbook.xml.rels', workbookRelations(names))
  text('xl/styles.xml', stylesXml)
  text('_rels/.rels', relationsXml([['officeDocument', 'xl/workbook.xml']]))
  text('[Content_Types].xml', contentTypes(names))
  zip.end()
}

/** Ends with the text, or with the reader of the workbook: nobody pulls on a sheet that nobody takes. */
async function add(zip: ZipFile, output: Readable, path: string, chunks: AsyncGenerator<string>): Promise<void> {
  const text = Readable.from(chunks)
  const stop = () => text.destroy()
  output.once('close', stop)
  zip.addReadStream(text, path)
  try {
    await finished(text)
  } finally {
    output.off('close', stop)
  }
}

/** What went wrong before says more than what goes wrong while cleaning up after it. */
async function close(reader: Reader): Promise<void> {
  await reader.close().catch(() => {})
}

function workbookXml(names: readonly string[]): string {
  const sheets = names.map((name, i) => `<sheet name="${escaped(name)}" sheetId="${i + 1}" r:id="rId${i + 1}"/>`)
  return `<workbook xmlns="${main}" xmlns:r="${relations}"><sheets>${sheets.join('')}</sheets></workbook>`
}

function workbookRelations(names: readonly string[]): string {
  const sheets = names.map((_, i) => ['worksheet', `worksheets/sheet${i + 1}.xml`] as const)
  return relationsXml([...sheets, ['styles', 'styles.xml']])
}

function relationsXml(targets: readonly (readonly [type: string, target: string])[]): string {
  const all = targets.map(
    ([type, target], i) => `<Relationship Id="rId${i + 1}" Type="${relations}/${type}" Target="${target}"/>`,
  )
  return `<Relationships xmlns="${packages}/relationships">${all.join('')}</Relationships>`
}

function contentTypes(names: readonly string[]): string {
  const kind = 'application/vnd.openxmlformats-officedocument.spreadsheetml'
  const part = (path: string, type: string) => `<Override PartName="/${path}" ContentType="${kind}.${type}+xml"/>`
  const sheets = names.map((_, i) => part(`xl/worksheets/sheet${i + 1}.xml`, 'worksheet'))
  return `<Types xmlns="${packages}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>${part('xl/workbook.xml', 'sheet.main')}${part('xl/styles.xml', 'styles')}${sheets.join('')}</Types>`
}

/** Cell styles 0, 1 and 2: plain, header, time. */
const stylesXml = `<styleSheet xmlns="${main}"><numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/></numFmts><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="3"><xf/><xf fontId="1" applyFont="1"/><xf numFmtId="164" applyNumberFormat="1"/></cellXfs></styleSheet>`
