export type Json = Record<string, unknown>

/** The local time of a zone with its offset, as Kimai writes it: `2026-11-20T08:00:00+0100`. */
export function localTime(at: number, timeZone: string): string {
  const offset = offsetOf(at, timeZone)
  const sign = offset < 0 ? '-' : '+'
  const minutes = Math.abs(offset)
  const two = (n: number) => String(n).padStart(2, '0')
  const local = new Date(at + offset * 60_000).toISOString().slice(0, 19)
  return `${local}${sign}${two(Math.floor(minutes / 60))}${two(minutes % 60)}`
}

/** What a local time without a zone means in a zone; undefined for another form. */
export function fromLocal(text: unknown, timeZone: string): number | undefined {
  if (typeof text !== 'string' || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/.test(text)) return undefined
  const asUtc = Date.parse(`${text}Z`)
  if (Number.isNaN(asUtc)) return undefined
  const first = asUtc - offsetOf(asUtc, timeZone) * 60_000
  return asUtc - offsetOf(first, timeZone) * 60_000
}

const formats = new Map<string, Intl.DateTimeFormat>()

function offsetOf(at: number, timeZone: string): number {
  const known = formats.get(timeZone)
  const format = known ?? new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' })
  formats.set(timeZone, format)
  const name = format.formatToParts(at).find(({ type }) => type === 'timeZoneName')?.value ?? 'GMT'
  const [, sign, hours = '0', minutes = '0'] = /GMT([+-])(\d\d):(\d\d)/.exec(name) ?? []
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes))
}
