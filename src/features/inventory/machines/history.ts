import type { Prepared } from '../prepare.ts'

/** What an asset was before an update, as the tables have it. */
export type Before = {
  readonly name: string
  readonly status: string | null
  readonly site: string | null
  readonly serial: string | null
  readonly addresses: string
  readonly attributes: string
  readonly facts: string
}

/** Field → before, after. A field that was not there is null. */
export type Fields = Readonly<Record<string, readonly [unknown, unknown]>>

const maxFields = 20
const maxText = 200

// They move all the time, so their changes are no news: when something was last reported, backed up or measured.
const restlessFacts = new Set(['reportAt', 'backupAt', 'powerSince', 'usedPercent'])
const restlessName =
  /(?:updated|modified|seen|since|at|time|on|uptime|revision|version_?lock)$|^(?:used|free|available)|usage|load|counter/i
const isTime = (value: unknown) => typeof value === 'string' && /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/.test(value)

/** What changed in an asset that a person would call a change; empty when nothing did. */
export function differences(before: Before, { observation, addresses, attributes, facts }: Prepared): Fields {
  const { name, status = null, site = null, serial = null } = observation
  const found: [string, readonly [unknown, unknown]][] = [
    ['name', [before.name, name]],
    ['status', [before.status, status]],
    ['site', [before.site, site]],
    ['serial', [before.serial, serial]],
    ['addresses', [JSON.parse(before.addresses), JSON.parse(addresses)]],
    ...pairs(before.facts, facts).filter(([field]) => !restlessFacts.has(field)),
    ...pairs(before.attributes, attributes).filter(([field, values]) => !isRestless(field, values)),
  ]
  const changed = found.filter(([, [from, to]]) => JSON.stringify(from) !== JSON.stringify(to))
  return Object.fromEntries(changed.slice(0, maxFields).map(([field, [from, to]]) => [field, [short(from), short(to)]]))
}

function pairs(before: string, after: string): [string, readonly [unknown, unknown]][] {
  if (before === after) return []
  const [from, to] = [before, after].map((text) => JSON.parse(text) as Record<string, unknown>)
  const names = new Set([...Object.keys(from ?? {}), ...Object.keys(to ?? {})])
  return [...names].map((name) => [name, [from?.[name] ?? null, to?.[name] ?? null]])
}

function isRestless(field: string, [from, to]: readonly [unknown, unknown]): boolean {
  if (isTime(from) || isTime(to)) return true
  return (typeof from === 'number' || typeof to === 'number') && restlessName.test(field)
}

function short(value: unknown): unknown {
  if (typeof value === 'string') return cut(value)
  if (!Array.isArray(value)) return value
  const text = JSON.stringify(value)
  return text.length <= maxText ? value : cut(text)
}

function cut(text: string): string {
  return text.length <= maxText ? text : `${text.slice(0, maxText - 1).toWellFormed()}…`
}
