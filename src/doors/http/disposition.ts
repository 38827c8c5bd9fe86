/**
 * `Content-Disposition: attachment` with a file name (RFC 6266): a plain form for old readers, in which everything but harmless
 * ASCII is a low line, and the exact one in UTF-8 (RFC 8187).
 */
export function attachment(name: string): string {
  const plain = name.toWellFormed().replaceAll(/[^\w .()+=,@#-]/gu, '_')
  return `attachment; filename="${plain}"; filename*=UTF-8''${extended(name)}`
}

/** All but the `attr-char` of RFC 8187 §3.2.1 as bytes in hex. */
function extended(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replaceAll(
    /['()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
