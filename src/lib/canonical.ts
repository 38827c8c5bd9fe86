/**
 * Canonical JSON (RFC 8785): members sorted by UTF-16 code units, no white space, ECMAScript number form.
 * Refuses what JSON cannot say (undefined members are skipped; NaN, functions, bigint and lone surrogates throw).
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean') return JSON.stringify(value)
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw new TypeError('A lone surrogate has no canonical form')
    return JSON.stringify(value)
  }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`${value} has no canonical form`)
    return JSON.stringify(value)
  }
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item)).join(',')}]`
  if (typeof value !== 'object') throw new TypeError(`A ${typeof value} has no canonical form`)
  const { toJSON } = value as { toJSON?: unknown }
  if (typeof toJSON === 'function') return canonicalJson((value as { toJSON(): unknown }).toJSON())
  let text = ''
  for (const name of Object.keys(value).sort()) {
    const member = (value as Record<string, unknown>)[name]
    if (member !== undefined) text += `${text === '' ? '' : ','}${canonicalJson(name)}:${canonicalJson(member)}`
  }
  return `{${text}}`
}
