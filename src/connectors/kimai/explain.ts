/** Kimai's `{code, message, errors}` as one safe sentence: which fields it refused, not what people wrote into them. */
export function explain(status: number, body: unknown): string | undefined {
  if (status === 401) return 'Kimai does not accept the API token.'
  if (status === 403)
    return 'The Kimai account lacks a permission for this, or the entry is locked because it was exported.'
  if (status !== 400 || !isRecord(body)) return undefined
  const errors = body['errors']
  if (!isRecord(errors)) return 'Kimai refused a value.'
  const children = isRecord(errors['children']) ? Object.entries(errors['children']) : []
  const fields = children.filter(([, child]) => hasErrors(child)).map(([field]) => field)
  const own = Array.isArray(errors['errors']) ? errors['errors'] : []
  if (own.some((one) => typeof one === 'string' && /extra fields/i.test(one)))
    return 'Kimai does not take one of the fields from this account, for example another user.'
  const named = fields.filter((field) => /^\w{1,40}$/.test(field)).slice(0, 8)
  return named.length > 0 ? `Kimai refused the value of ${named.join(', ')}.` : 'Kimai refused the values.'
}

type Json = Readonly<Record<string, unknown>>

function hasErrors(child: unknown): boolean {
  return isRecord(child) && Array.isArray(child['errors']) && child['errors'].length > 0
}

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
