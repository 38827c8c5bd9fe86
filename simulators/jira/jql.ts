import { literals, split } from '../confluence/clauses.ts'
import { type SimIssue, statuses } from './rows.ts'

export type Jql = {
  readonly projects: readonly string[] | undefined
  /** Whether anything narrows it down; Cloud refuses what does not. */
  readonly isBounded: boolean
  readonly matches: (issue: SimIssue) => boolean
  readonly order: { readonly field: 'createdAt' | 'updatedAt'; readonly isDescending: boolean }
}

/** The part of JQL that a connector needs, joined by `and`. Dates are read by the minute, in the account's time zone. */
export function parseJql(text: string, timeZone: string): Jql | undefined {
  const [, where = '', field = 'created', direction] =
    /^(.*?)\s*(?:order by (created|updated)(?: (asc|desc))?)?$/i.exec(text) ?? []
  const tests: ((issue: SimIssue) => boolean)[] = []
  let projects: readonly string[] | undefined
  const clauses = where === '' ? [] : split(where, ' and ')
  for (const clause of clauses) {
    const [, name = '', sign = '', value = ''] = /^(\w+)\s*(!=|=|~|>=|in)\s*(.+)$/i.exec(clause) ?? []
    const values = literals(value)
    const [first = ''] = values ?? []
    const key = `${name.toLowerCase()} ${sign.toLowerCase()}`
    if (!values || values.length === 0) return undefined
    if (key === 'project in' || key === 'project =') projects = values
    else if (key === 'status =') tests.push(({ status }) => status.toLowerCase() === first.toLowerCase())
    else if (key === 'issuetype =') tests.push(({ type }) => type.toLowerCase() === first.toLowerCase())
    else if (key === 'labels =') tests.push(({ labels }) => labels.includes(first))
    else if (key === 'statuscategory =') tests.push(({ status }) => statuses[status] === first.toLowerCase())
    else if (key === 'statuscategory !=') tests.push(({ status }) => statuses[status] !== first.toLowerCase())
    else if (key === 'text ~') tests.push((issue) => hasWords(`${issue.summary} ${issue.description}`, first))
    else if (key === 'updated >=') tests.push(({ updatedAt }) => local(updatedAt, timeZone) >= first)
    else if (key === 'created >=') tests.push(({ createdAt }) => local(createdAt, timeZone) >= first)
    else return undefined
  }
  return {
    projects,
    isBounded: clauses.length > 0,
    matches: (issue) => tests.every((passes) => passes(issue)),
    order: {
      field: field.toLowerCase() === 'created' ? 'createdAt' : 'updatedAt',
      isDescending: direction?.toLowerCase() === 'desc',
    },
  }
}

/** `2026-11-20 07:00` in the zone. */
export function local(at: Date, timeZone: string): string {
  return new Intl.DateTimeFormat('sv-SE', { dateStyle: 'short', timeStyle: 'short', timeZone }).format(at)
}

function hasWords(text: string, wanted: string): boolean {
  const low = text.toLowerCase()
  return wanted.split(' ').every((word) => low.includes(word))
}
