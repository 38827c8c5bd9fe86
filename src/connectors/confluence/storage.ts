// Confluence's storage format: XHTML with elements of its own (`ac:`, `ri:`). Everything from outside is text in it.

export type Cell = string | number | boolean | null

/** Pages that carry it were published by Atlas, and only those are replaced. */
export const marker = 'Published by Infrastructure Atlas.'

export function tablePage(
  columns: readonly string[],
  rows: readonly (readonly Cell[])[],
  introduction?: string,
): string {
  const head = columns.map((name) => `<th>${line(name)}</th>`).join('')
  const body = rows.map((row) => `<tr>${row.map((cell) => `<td>${line(String(cell ?? ''))}</td>`).join('')}</tr>`)
  return [
    ...(introduction === undefined ? [] : [`<p>${line(introduction)}</p>`]),
    `<table><tbody><tr>${head}</tr>${body.join('')}</tbody></table>`,
    `<p><em>${marker} What is changed here is lost at the next publication.</em></p>`,
  ].join('')
}

/** Escaped text with its line breaks. XML 1.0 §2.2 has no place for other control characters. */
function line(text: string): string {
  const plain = text.toWellFormed().replaceAll(/(?![\t\n\r])\p{Cc}|[\ufffe\uffff]/gu, '')
  return plain.replaceAll(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`).replaceAll(/\r\n?|\n/g, '<br/>')
}

const blocks = /<\/(?:p|h[1-6]|li|tr|div|table|ul|ol|blockquote|pre|ac:structured-macro)>|<br\s*\/?>/gi
const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' }

/** The words of a page for reading, without its markup. Parameters of macros are left out: they can hold credentials. */
export function plainText(storage: string): string {
  return withoutCdata(storage.replaceAll(/<ac:parameter\b[^<>]*>[^<]*<\/ac:parameter>/gi, ''))
    .replaceAll(/<\/t[dh]>/gi, '\t')
    .replaceAll(blocks, '\n')
    .replaceAll(/<[^<>]*>/g, '')
    .replaceAll(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(\w{1,10}));/gi, (whole, decimal, hex, name) =>
      decimal || hex
        ? sign(decimal ? Number(decimal) : Number.parseInt(hex, 16))
        : (Object.hasOwn(entities, name) && entities[name]) || whole,
    )
    .replaceAll(/(?<![\t ])[\t ]+\n/g, '\n')
    .replaceAll(/\n{3,}/g, '\n\n')
    .trim()
}

// The patterns of this file look at each character a bounded number of times: whoever writes a page must not stop the hub.

/** What stands in CDATA as text. */
function withoutCdata(storage: string): string {
  const [first = '', ...others] = storage.split('<![CDATA[')
  const plain = others.map((part) => {
    const end = part.indexOf(']]>')
    if (end < 0) return `<![CDATA[${part}`
    return part.slice(0, end).replaceAll('&', '&amp;').replaceAll('<', '&lt;') + part.slice(end + 3)
  })
  return first + plain.join('')
}

function sign(code: number): string {
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : ''
}
