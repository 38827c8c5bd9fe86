/**
 * NetBox's error body as one safe sentence, or undefined when it has none of NetBox's shapes:
 * `{detail}`, field errors `{name: [..]}`, and the 500 shape `{error, exception, netbox_version}`.
 * Addresses, host names and anything like a token are masked; the exception's message is left out.
 */
export function explain(status: number, body: unknown): string | undefined {
  if (Array.isArray(body))
    return body.length > 0
      ? explain(
          status,
          body.find((item) => !isEmpty(item)),
        )
      : undefined
  if (typeof body === 'string' && status === 400) return sentence(body)
  if (!isRecord(body)) return undefined
  if (typeof body['exception'] === 'string') {
    const name = /^\w{1,60}$/.exec(body['exception'])?.[0]
    return `NetBox failed inside${name ? ` (${name})` : ''}.`
  }
  if (typeof body['detail'] === 'string') return known(status, body['detail']) ?? sentence(body['detail'])
  const faults = Object.entries(body).flatMap(([field, rules]) => fault(field, rules))
  return faults.length > 0 ? sentence(faults.slice(0, 5).join('; ')) : undefined
}

const sayings: readonly (readonly [RegExp, string])[] = [
  [
    /^Authentication credentials were not provided/,
    'NetBox saw no token: a proxy may remove the Authorization header.',
  ],
  [/^Invalid v[12] token/, 'NetBox does not know this token.'],
  [/^Token expired/, 'The NetBox token has expired.'],
  [/^Token disabled/, 'The NetBox token is disabled.'],
  [/^User inactive/, 'The NetBox user of this token is inactive.'],
  [/^Source IP/, "The NetBox token does not allow this server's address."],
  [/^Invalid authorization header/, 'NetBox cannot read the token: its form is wrong.'],
  [/^You do not have permission/, "The NetBox token's user lacks a permission for this, or the token is read-only."],
  [/^Precondition failed/, 'The NetBox object changed since it was read.'],
]

function known(status: number, detail: string): string | undefined {
  const dependents = /(\d{1,9}) dependent objects? (?:was|were) found/.exec(detail)
  if (status === 409 && dependents) return `NetBox does not delete it: ${dependents[1]} other objects depend on it.`
  return sayings.find(([pattern]) => pattern.test(detail))?.[1]
}

function fault(field: string, rules: unknown): string[] {
  const words = (Array.isArray(rules) ? rules : [rules]).filter((rule) => typeof rule === 'string')
  if (words.length === 0 || !/^\w{1,60}$/.test(field)) return []
  const rule = words.slice(0, 3).join(' ')
  return [field === 'non_field_errors' || field === '__all__' ? rule : `${field}: ${rule}`]
}

/** At most 200 characters, one line, without anything that could be a URL, an address, a host name or a token. */
function sentence(text: string): string {
  const plain = text
    .slice(0, 2000)
    .replace(/[^\x20-\x7e]+/g, ' ')
    .replace(/\b[a-z][a-z0-9+.-]*:\/\/\S+/gi, '[address]')
    .replace(/\bnbt_[\w.-]+|\b[0-9a-f]{32,}\b/gi, '[masked]')
    .replace(/\b[0-9a-f]*:[0-9a-f:]*:[0-9a-f.:]*(?:\/\d+)?/gi, '[address]')
    .replace(/\b\d{1,3}(?:\.\d{1,3}){3}(?:[/:]\d+)?/g, '[address]')
    .replace(/\b[\w-]+(?:\.[\w-]+)*\.[a-z][\w-]+(?::\d+)?/gi, '[name]')
    .trim()
  return `NetBox says: ${plain.length > 200 ? `${plain.slice(0, 199)}…` : plain}`
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

/** In a bulk write's answer, the items without faults are empty objects. */
function isEmpty(value: unknown): boolean {
  return typeof value !== 'string' && (!isRecord(value) || Object.keys(value).length === 0)
}
