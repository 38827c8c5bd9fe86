import { json, type Reply, type SimRequest } from '../lib/server.ts'
import type { Account } from './accounts.ts'
import { type Book, entryJson, people } from './book.ts'
import { fromLocal, type Json } from './time.ts'

export type Rules = {
  /** Begins are cut down to so many minutes. */
  roundMinutes: number
  /** Whether one person's times may overlap. */
  allowOverlap: boolean
}

const fields = [
  'project',
  'activity',
  'begin',
  'end',
  'description',
  'tags',
  'billable',
  'exported',
  'fixedRate',
  'hourlyRate',
]
const refusal = (code: number, message: string) => json(code, { code, message })

/** The form of a timesheet: unknown fields, values of the wrong form, rounding, overlap, and the lock of what was exported. */
export function makeWrites({ book, rules }: { readonly book: Book; readonly rules: Rules }) {
  function create({ body }: SimRequest, account: Account): Reply {
    const { person, may } = account
    if (!may.has('create')) return refusal(403, 'Forbidden')
    const values = bodyOf(body)
    if (!values) return refusal(400, 'Invalid JSON')
    const allowed = may.has('create for others') ? [...fields, 'user'] : fields
    if (Object.keys(values).some((name) => !allowed.includes(name)))
      return invalid({}, ['This form should not contain extra fields.'])
    const owner = people.find(({ id }) => id === (values['user'] ?? person.id))
    const project = book.projects().find(({ id }) => id === values['project'])
    const activity = book.activities().find(({ id }) => id === values['activity'])
    const given = owner && fromLocal(values['begin'], owner.timeZone)
    const end = owner && values['end'] !== undefined ? fromLocal(values['end'], owner.timeZone) : undefined
    const tags = values['tags']
    const faults: Record<string, string> = {
      ...(!owner && { user: 'The selected choice is invalid.' }),
      ...(project?.['visible'] !== true && { project: 'The selected choice is invalid.' }),
      ...(!fits(activity, values['project']) && { activity: 'The selected choice is invalid.' }),
      ...(given === undefined && { begin: 'Please enter a valid date and time.' }),
      ...(tags !== undefined && typeof tags !== 'string' && { tags: 'This value is not valid.' }),
    }
    if (!owner || given === undefined || Object.keys(faults).length > 0) return invalid(faults)
    const step = rules.roundMinutes * 60_000
    const begin = given - (given % step)
    if (!rules.allowOverlap && overlaps(owner.id, begin, end))
      return invalid({ begin: 'You already have an entry for this time.' })
    const entry = book.add({
      begin,
      end,
      description: String(values['description'] ?? ''),
      project: Number(values['project']),
      activity: Number(values['activity']),
      user: owner.id,
      tags: typeof tags === 'string' && tags !== '' ? tags.split(',') : [],
      exported: values['exported'] === true,
      billable: values['billable'] !== false,
    })
    return json(200, entryJson(book, entry, 'entity'))
  }

  function overlaps(user: number, begin: number, end: number | undefined): boolean {
    for (const entry of book.entries())
      if (entry.user === user && begin < (entry.end ?? begin + 1) && (end ?? begin + 1) > entry.begin) return true
    return false
  }

  /** `PATCH` of a description, and `DELETE`. */
  function change(id: number, { method, body }: SimRequest, { person, may }: Account): Reply {
    const entry = book.entry(id)
    if (!entry) return refusal(404, 'Not Found')
    const isOwn = entry.user === person.id
    if (!may.has('create') || (!isOwn && !may.has('create for others'))) return refusal(403, 'Forbidden')
    if (entry.exported && !may.has('edit exported')) return refusal(403, 'Forbidden')
    if (method === 'DELETE') {
      book.remove(id)
      return { status: 204 }
    }
    if (method !== 'PATCH') return refusal(405, 'Method Not Allowed')
    const description = String(bodyOf(body)?.['description'] ?? entry.description)
    return json(200, entryJson(book, book.save({ ...entry, description }), 'entity'))
  }

  return { create, change }
}

function fits(activity: Json | undefined, project: unknown): boolean {
  return activity !== undefined && (activity['project'] === null || activity['project'] === project)
}

function invalid(faults: Readonly<Record<string, string>>, errors?: readonly string[]): Reply {
  const children = Object.fromEntries(
    fields.map((name) => [name, faults[name] === undefined ? {} : { errors: [faults[name]] }]),
  )
  return json(400, { code: 400, message: 'Validation Failed', errors: { ...(errors && { errors }), children } })
}

function bodyOf(body: string): Json | undefined {
  try {
    return JSON.parse(body) as Json
  } catch {
    return undefined
  }
}
