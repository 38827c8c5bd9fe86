import { randomBytes } from 'node:crypto'

export type Part = {
  readonly name: string
  readonly fileName?: string
  readonly contentType: string
  readonly content: string | Uint8Array
}

/** A multipart/form-data body (RFC 7578). Names hold no quotes and no line breaks: the callers' schemas see to that. */
export function multipart(parts: readonly Part[]): { readonly contentType: string; readonly body: Uint8Array } {
  const boundary = `atlas-${randomBytes(24).toString('hex')}`
  const pieces = parts.flatMap(({ name, fileName, contentType, content }) => [
    Buffer.from(
      `--${boundary}\r\ncontent-disposition: form-data; name="${name}"${
        fileName === undefined ? '' : `; filename="${fileName}"`
      }\r\ncontent-type: ${contentType}\r\n\r\n`,
    ),
    typeof content === 'string' ? Buffer.from(content) : content,
    Buffer.from('\r\n'),
  ])
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    body: new Uint8Array(Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)])),
  }
}
