import type { Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { multipart } from './multipart.ts'
import { Attachment, V1Page } from './schema.ts'

const largest = 8 * 1024 * 1024

export type File = {
  readonly fileName: string
  readonly contentType: string
  readonly encoding: 'text' | 'base64'
  readonly content: string
  readonly comment?: string | undefined
}

/** Uploads a file, as a new version when the page has one of that name (v1, the same on both products). */
export async function attach(http: Http, pageId: string, file: File) {
  const { fileName, contentType, comment } = file
  const content = bytesOf(file)
  const path = `/rest/api/content/${pageId}/child/attachment`
  const list = V1Page(Attachment)
  const found = (await http.get(path, list, { filename: fileName, limit: 5 })).results.find(
    ({ title }) => title === fileName,
  )
  const form = multipart([
    { name: 'file', fileName, contentType, content },
    ...(comment === undefined ? [] : [{ name: 'comment', contentType: 'text/plain; charset=utf-8', content: comment }]),
  ])
  // Without the header Confluence takes the upload for a form on some web page, and refuses it.
  const headers = { 'content-type': form.contentType, 'x-atlassian-token': 'no-check' }
  const kept = found
    ? await http.send('POST', `${path}/${found.id}/data`, Attachment, form.body, { headers })
    : (await http.send('POST', path, list, form.body, { headers })).results[0]
  if (!kept) throw new Problem('upstream-invalid', 'Confluence did not say what it kept')
  return {
    id: kept.id,
    fileName,
    version: kept.version?.number ?? 1,
    bytes: content.length,
    isNew: found === undefined,
  }
}

function bytesOf({ encoding, content }: File): Uint8Array {
  const bytes = Buffer.from(content, encoding === 'text' ? 'utf8' : 'base64')
  if (encoding === 'base64' && bytes.toString('base64') !== content)
    throw new Problem('invalid-input', 'The content is not base64 (RFC 4648 §4, with padding, in one line)')
  if (bytes.length > largest) throw new Problem('too-large', 'The file is larger than 8 MiB')
  return bytes
}
