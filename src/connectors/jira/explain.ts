import type { Fault } from '../../core/connector.ts'

/**
 * What a refusal of Jira means. Its own words (`{errorMessages: [], errors: {}}`) are only looked at, never shown: they name
 * people, projects and issues.
 */
export function explain(status: number, body: unknown): string | Fault | undefined {
  if (status === 400 && /page ?token/i.test(words(body)))
    return { type: 'invalid-input', detail: 'The cursor is too old, or belongs to a search with other fields' }
  return sentences[status]
}

const sentences: Readonly<Record<number, string>> = {
  400: 'Jira does not understand the request, or the account may not use a field in it.',
  401: 'Jira does not know the credential: it is wrong, expired or revoked. Give the connection a new token.',
  403: 'The Jira account lacks a permission for this, or must first pass a captcha in the browser.',
  404: 'Jira has no such thing, or the account may not see it.',
  410: 'This Jira no longer has that part of its API.',
  413: 'Jira does not take a text of that size.',
  429: 'Jira asks for fewer requests.',
}

function words(body: unknown): string {
  if (typeof body !== 'object' || body === null) return ''
  const { errorMessages, errors } = body as { errorMessages?: unknown; errors?: unknown }
  return JSON.stringify([errorMessages, errors]).slice(0, 2000)
}
