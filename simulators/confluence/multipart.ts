import type { SimRequest } from '../lib/server.ts'

export type Upload = {
  readonly fileName: string
  readonly contentType: string
  readonly bytes: number
  readonly comment: string
}

/** The file of a multipart/form-data body. Bodies are held as text here, so its size is told from the length of the whole. */
export function readUpload({ headers, body }: SimRequest): Upload | undefined {
  const boundary = /^multipart\/form-data; boundary=([\w-]{1,70})$/.exec(headers['content-type'] ?? '')?.[1]
  if (boundary === undefined || !body.endsWith(`\r\n--${boundary}--\r\n`)) return undefined
  const parts = body.split(`--${boundary}`).slice(1, -1)
  const read = parts.map((part) => {
    const [head = ''] = part.split('\r\n\r\n', 1)
    const name = /name="([^"]*)"/.exec(head)?.[1]
    const fileName = /filename="([^"]*)"/.exec(head)?.[1]
    const contentType = /content-type: (\S+)/i.exec(head)?.[1] ?? 'application/octet-stream'
    return { name, fileName, contentType, text: part.slice(head.length + 4, -2) }
  })
  const file = read.find(({ name }) => name === 'file')
  if (!file || file.fileName === undefined) return undefined
  const others = Buffer.byteLength(body) - Buffer.byteLength(file.text)
  return {
    fileName: file.fileName,
    contentType: file.contentType,
    bytes: Number(headers['content-length']) - others,
    comment: read.find(({ name }) => name === 'comment')?.text ?? '',
  }
}
