/**
 * A time as Foreman prints it, in ISO 8601 and UTC: `2026-11-20 07:00:41 UTC`, an offset for users with a time zone of their own,
 * or ISO 8601. One without a zone says too little and counts as absent.
 */
export function utc(text: string | null | undefined): string | undefined {
  const iso = text
    ?.trim()
    .replace(/^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?) (UTC|[+-]\d\d:?\d\d)$/, (_, day, time, zone: string) => {
      return `${day}T${time}${zone === 'UTC' ? 'Z' : zone.replace(/^(...):?/, '$1:')}`
    })
  if (!iso || !/^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)$/.test(iso)) return undefined
  const at = new Date(iso)
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString()
}

/** A time inside a search. Seconds, because a time without them would be read as a whole day. */
export function searchTime(at: Date): string {
  return quoted(`${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`)
}

/** A value inside a search: in double quotes, with a backslash before quotes and backslashes. */
export function quoted(value: string): string {
  return `"${value.replaceAll(/["\\]/g, '\\$&')}"`
}

/** The configured URL without a closing slash. */
export function baseOf(config: unknown): string {
  return (config as { url: string }).url.replace(/\/+$/, '')
}
