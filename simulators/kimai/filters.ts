import type { Account } from './accounts.ts'
import type { Entry } from './book.ts'
import { fromLocal } from './time.ts'

export type Filter = { readonly test: (entry: Entry) => boolean } | { readonly wrong: string }

const forms: Readonly<Record<string, RegExp>> = {
  user: /^(?:\d+|all)$/,
  page: /^[1-9]\d*$/,
  size: /^[1-9]\d*$/,
  orderBy: /^(?:id|begin|end|rate)$/,
  order: /^(?:ASC|DESC)$/,
  exported: /^[01]$/,
  active: /^[01]$/,
  billable: /^[01]$/,
  full: /^(?:0|1|true|false)$/,
  begin: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/,
  end: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/,
  modified_after: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/,
}

/** What a list of timesheets is narrowed to. A value of the wrong form is a 400, as in Kimai. */
export function filterOf(query: URLSearchParams, { person, may }: Account): Filter {
  for (const [name, form] of Object.entries(forms)) {
    const given = query.get(name)
    if (given !== null && !form.test(given)) return { wrong: name }
  }
  // Who may not see others gets the own times, whatever was asked for.
  const user = may.has('see others') ? (query.get('user') ?? String(person.id)) : String(person.id)
  const ids = (name: string) => new Set([...query.getAll(`${name}s[]`), ...query.getAll(name)].map(Number))
  const projects = ids('project')
  const activities = new Set([...query.getAll('activities[]'), ...query.getAll('activity')].map(Number))
  const begin = fromLocal(query.get('begin'), person.timeZone)
  const end = fromLocal(query.get('end'), person.timeZone)
  const after = fromLocal(query.get('modified_after'), 'UTC')
  const exported = query.get('exported')
  const active = query.get('active')
  return {
    test: (entry) =>
      (user === 'all' || entry.user === Number(user)) &&
      (projects.size === 0 || projects.has(entry.project)) &&
      (activities.size === 0 || activities.has(entry.activity)) &&
      (begin === undefined || entry.begin >= begin) &&
      (end === undefined || entry.begin <= end) &&
      (after === undefined || entry.modifiedAt >= after) &&
      (exported === null || entry.exported === (exported === '1')) &&
      (active === null || (entry.end === undefined) === (active === '1')),
  }
}
