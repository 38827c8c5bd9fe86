import type { Fault } from '../../core/connector.ts'

/**
 * What a refusal of Confluence means. Its own words are only looked at, never shown: they name hosts, people and pages.
 * v1 says `{statusCode, message, data}`, v2 says `{errors: [{status, code, title}]}`.
 */
export function explain(status: number, body: unknown): string | Fault | undefined {
  if (status < 400) return undefined
  const said = words(body)
  if (/already exists|same (?:file )?name/i.test(said))
    return { type: 'conflict', detail: 'Confluence already has a page or file of that name there' }
  if (status === 409) return { type: 'conflict', detail: 'The page changed in Confluence since it was read' }
  if (status === 413) return { type: 'too-large', detail: 'Confluence does not take a file of that size' }
  return sentences[status]
}

const sentences: Readonly<Record<number, string>> = {
  400: 'Confluence does not understand the request.',
  401: 'Confluence does not know the credential: it is wrong, expired or revoked. Give the connection a new token.',
  403: 'The Confluence account lacks a permission for this.',
  404: 'Confluence has no such thing, or the account may not see it.',
  410: 'This Confluence no longer has that part of its API.',
  429: 'Confluence asks for fewer requests.',
}

function words(body: unknown): string {
  if (typeof body !== 'object' || body === null) return ''
  const { message, errors } = body as { message?: unknown; errors?: unknown }
  const titles = Array.isArray(errors)
    ? errors.map((one) => String((one as { title?: unknown } | null)?.title ?? ''))
    : []
  return [typeof message === 'string' ? message : '', ...titles].join(' ').slice(0, 2000)
}
