import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Where something was written or said, and the bytes. */
export type Place = { readonly where: string; readonly bytes: Buffer }

/** The files of a folder that others work in: what vanishes before it is read was not there. */
export function filesIn(folder: string): Place[] {
  return readdirSync(folder).flatMap((name) => {
    try {
      return [{ where: join(folder, name), bytes: readFileSync(join(folder, name)) }]
    } catch (error) {
      if (['ENOENT', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
      throw error
    }
  })
}

/** Every ordinary file below a folder. */
export function filesBelow(folder: string): Place[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ where: path.slice(folder.length + 1), bytes: readFileSync(path) }))
}

/** `<place>: <canary> as <form>`, for every form of every canary that is found in a place. */
export function findCanaries(canaries: Readonly<Record<string, string | Buffer>>, places: readonly Place[]): string[] {
  const hits: string[] = []
  for (const [name, value] of Object.entries(canaries))
    for (const [form, bytes] of formsOf(typeof value === 'string' ? Buffer.from(value) : value))
      for (const { where, bytes: all } of places) if (all.includes(bytes)) hits.push(`${where}: ${name} as ${form}`)
  return [...new Set(hits)]
}

/** The ways in which a value is written by programs. Written apart from the product's own list, which it tests. */
function formsOf(value: Buffer): [string, Buffer][] {
  const hex = value.toString('hex')
  const text = value.toString('utf8')
  const isText = Buffer.from(text).equals(value)
  return [
    ['plain', value],
    ['hex', Buffer.from(hex)],
    ['HEX', Buffer.from(hex.toUpperCase())],
    // After 0, 1 or 2 other bytes; the outermost characters also hold bits of the neighbours.
    ...[0, 1, 2].flatMap((offset): [string, Buffer][] => {
      const padded = Buffer.concat([Buffer.alloc(offset), value])
      const end = Math.floor((padded.length * 4) / 3)
      const middle = padded.toString('base64').slice(offset === 0 ? 0 : offset + 1, end)
      return [
        ['base64', Buffer.from(middle)],
        ['base64url', Buffer.from(middle.replaceAll('+', '-').replaceAll('/', '_'))],
      ]
    }),
    ...(isText ? textForms(text) : []),
  ]
}

function textForms(text: string): [string, Buffer][] {
  const json = JSON.stringify(text).slice(1, -1)
  const ascii = json.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  const url = encodeURIComponent(text)
  const forms = {
    JSON: json,
    'JSON in JSON': JSON.stringify(json).slice(1, -1),
    'ASCII JSON': ascii,
    'JSON with \\/': json.replaceAll('/', '\\/'),
    URL: url,
    'lower case URL': url.replace(/%../g, (sign) => sign.toLowerCase()),
    'form field': new URLSearchParams({ a: text }).toString().slice(2),
    HTML: text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;'),
  }
  const utf16 = Buffer.from(text, 'utf16le')
  return [
    ...Object.entries(forms).map(([name, form]): [string, Buffer] => [name, Buffer.from(form)]),
    ['UTF-16LE', utf16],
    ['UTF-16BE', Buffer.from(utf16).swap16()],
  ]
}
