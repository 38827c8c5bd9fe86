/** A text that gives a secret value away. The characters beside a match that hold some of its bits are counted too. */
export type Form = { readonly text: string; readonly before: 0 | 1; readonly after: 0 | 1 }

/** The shortest text that is searched for; shorter values would be found everywhere. */
export const shortest = 8
const longestPiece = 64

/**
 * All texts to search for when `value` must not leave: plain, JSON-escaped (also twice, in ASCII, and with `\/`), URL-encoded,
 * HTML-escaped, hexadecimal, and base64 in both alphabets at each of the three places where it can start inside other base64;
 * the last three also of UTF-16, and UTF-16 itself where it was read as if it were UTF-8.
 * A long value is searched in pieces, so that a part of it, and a PEM key with other line ends, is found as well.
 * Nothing for a value below 8 characters or with fewer than 4 different ones: it would blank rulers and masks.
 */
export function formsOf(value: string): readonly Form[] {
  const forms = new Map<string, Form>()
  for (const piece of piecesOf(value)) {
    for (const text of textForms(piece)) forms.set(text, { text, before: 0, after: 0 })
    for (const form of byteForms(Buffer.from(piece, 'utf8'))) if (!forms.has(form.text)) forms.set(form.text, form)
    for (const bytes of utf16(piece))
      for (const form of [raw(bytes), ...byteForms(bytes)]) if (!forms.has(form.text)) forms.set(form.text, form)
  }
  // Foreign script read wrongly is a row of replacement characters; those are no secret.
  return [...forms.values()].filter(({ text }) => text.length >= shortest && new Set(text).size >= 4)
}

function piecesOf(value: string): Set<string> {
  const keyLines = value.includes('\n') ? value.split(/\r?\n/).filter((line) => /^[\w+/=-]{32,}$/.test(line)) : []
  const wholes = [value, value.trim(), ...keyLines].filter((text) => text.length >= shortest && new Set(text).size >= 4)
  return new Set(wholes.flatMap(cut))
}

/** Pieces of 64 characters; the last one overlaps the one before it rather than being short. */
function cut(text: string): string[] {
  const characters = [...text]
  const pieces: string[] = []
  for (let at = 0; at < characters.length; at += longestPiece) {
    const from = Math.max(0, Math.min(at, characters.length - longestPiece))
    pieces.push(characters.slice(from, from + longestPiece).join(''))
  }
  return pieces
}

function textForms(piece: string): Set<string> {
  const json = inJson(piece)
  const ascii = json.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  const url = encodeURIComponent(piece.toWellFormed())
  const strict = url.replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
  const form = new URLSearchParams({ '': piece }).toString().slice(1)
  // encodeURIComponent, RFC 3986, Python's quote and quote_plus, HTML forms, encodeURI
  const urls = [
    ...[url, strict, strict.replaceAll('%2F', '/')],
    ...[url.replaceAll('%20', '+'), strict.replaceAll('%20', '+'), form],
    encodeURI(piece.toWellFormed()),
  ]
  return new Set([
    ...[piece, json, ascii, inJson(json), json.replaceAll('/', '\\/')],
    ...[...urls, ...urls.map(lowerEscapes)],
    ...[inHtml(piece, '&#39;'), inHtml(piece, '&apos;'), inHtml(piece, "'"), inHtml(piece, '&#x27;')],
  ])
}

function inHtml(text: string, apostrophe: string): string {
  const signs: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": apostrophe }
  return text.replace(/[&<>"']/g, (sign) => signs[sign] ?? sign)
}

function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}

function lowerEscapes(url: string): string {
  return url.replace(/%[0-9A-F]{2}/g, (sign) => sign.toLowerCase())
}

/** The value in UTF-16, both ways round. In Latin script the one is the other moved by a byte: what both share finds either. */
function utf16(piece: string): Buffer[] {
  const little = Buffer.from(piece, 'utf16le')
  if (/^[\0-\xff]*$/.test(piece)) return [little.subarray(0, -1)]
  return [little, Buffer.from(little).swap16()]
}

/** What a program makes of UTF-16 that it takes for UTF-8. */
function raw(bytes: Buffer): Form {
  return { text: bytes.toString('utf8'), before: 0, after: 0 }
}

function byteForms(bytes: Buffer): Form[] {
  const hex = bytes.toString('hex')
  const plain = [hex, hex.toUpperCase()].map((text) => ({ text, before: 0, after: 0 }) as const)
  return [...plain, ...base64Forms(bytes)]
}

/** The characters that `bytes` alone decide, after 0, 1 or 2 other bytes of the same base64 text (RFC 4648 §4, §5). */
function base64Forms(bytes: Buffer): Form[] {
  return [0, 1, 2].flatMap((offset) => {
    const [from, to] = [Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6)]
    const text = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .slice(from, to)
    const edges = { before: offset === 0 ? 0 : 1, after: ((offset + bytes.length) * 8) % 6 === 0 ? 0 : 1 } as const
    return [text, text.replaceAll('+', '-').replaceAll('/', '_')].map((form) => ({ text: form, ...edges }))
  })
}
