import assert from 'node:assert/strict'
import { inflateRawSync } from 'node:zlib'
import type { XmlElement } from '../core/connector.ts'
import { parseXml } from '../lib/xml.ts'

// Reads workbooks back without what writes them: the zip by its central directory (APPNOTE 4.3.12), each part as XML.

export async function bytesOf(chunks: AsyncIterable<string | Uint8Array>): Promise<Buffer> {
  const all: Buffer[] = []
  for await (const chunk of chunks) all.push(Buffer.from(chunk as string))
  return Buffer.concat(all)
}

export async function textOf(chunks: AsyncIterable<string | Uint8Array>): Promise<string> {
  return (await bytesOf(chunks)).toString('utf8')
}

/** Every part of a zip file by its name. */
export function unzip(zip: Buffer): Map<string, Buffer> {
  const end = zip.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'))
  const parts = new Map<string, Buffer>()
  let at = zip.readUInt32LE(end + 16)
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    assert.equal(zip.toString('latin1', at, at + 4), 'PK\x01\x02')
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((offset) => zip.readUInt16LE(at + offset))
    const name = zip.toString('utf8', at + 46, at + 46 + nameLength!)
    const header = zip.readUInt32LE(at + 42)
    const data = header + 30 + zip.readUInt16LE(header + 26) + zip.readUInt16LE(header + 28)
    const packed = zip.subarray(data, data + zip.readUInt32LE(at + 20))
    const plain = zip.readUInt16LE(at + 10) === 0 ? packed : inflateRawSync(packed)
    assert.equal(plain.length, zip.readUInt32LE(at + 24))
    parts.set(name, plain)
    at += 46 + nameLength! + extraLength! + commentLength!
  }
  return parts
}

type ReadSheet = { name: string; frozen: string | undefined; filter: string | undefined; rows: string[][] }

/** The tabs with their cells as `type:value`, `''` for an empty one. */
export async function readWorkbook(chunks: AsyncIterable<Uint8Array>) {
  return workbookOf(await bytesOf(chunks))
}

export function workbookOf(bytes: Buffer) {
  const parts = unzip(bytes)
  const xml = (path: string) => parseXml(parts.get(path)!.toString('utf8'))
  const targets = new Map(
    xml('xl/_rels/workbook.xml.rels').children.map(({ attributes }) => [attributes['Id'], attributes['Target']]),
  )
  const sheets = find(xml('xl/workbook.xml'), 'sheet').map(({ attributes }) => {
    const text = parts.get(`xl/${targets.get(attributes['id'])}`)!.toString('utf8')
    return sheetOf(attributes['name'] ?? '', text)
  })
  const hasFormula = [...parts.values()].some((part) => /<f[\s>]/.test(part.toString('utf8')))
  return { sheets, parts: [...parts.keys()], hasFormula }
}

/** `parseXml` trims texts, so those of cells are taken as they stand. */
function sheetOf(name: string, text: string): ReadSheet {
  const root = parseXml(text)
  const raw = [...text.matchAll(/<t xml:space="preserve">([^<]*)<\/t>/g)].map((match) => plain(match[1] ?? ''))
  const rows = find(root, 'row').map(({ children }) => children.map((cell) => cellOf(cell, raw)))
  assert.equal(raw.length, 0)
  return {
    name,
    frozen: find(root, 'pane')[0]?.attributes['topLeftCell'],
    filter: find(root, 'autoFilter')[0]?.attributes['ref'],
    rows,
  }
}

function cellOf({ attributes, children }: XmlElement, raw: string[]): string {
  const value = children.find(({ name }) => name === 'v')?.text
  if (attributes['t'] === 'inlineStr') return `text:${raw.shift()}`
  if (value === undefined) return ''
  return `${attributes['t'] === 'b' ? 'flag' : attributes['s'] === '2' ? 'time' : 'number'}:${value}`
}

function plain(escaped: string): string {
  const entities: Record<string, string> = { '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#13;': '\r', '&amp;': '&' }
  return escaped.replaceAll(/&(?:lt|gt|quot|#13|amp);/g, (entity) => entities[entity] ?? '')
}

function find(element: XmlElement, name: string): XmlElement[] {
  return element.children.flatMap((child) => [...(child.name === name ? [child] : []), ...find(child, name)])
}
