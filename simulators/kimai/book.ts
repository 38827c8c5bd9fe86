import { makeDice } from '../lib/random.ts'
import type { Truth } from '../lib/truth.ts'
import { type Json, localTime } from './time.ts'

const minute = 60_000
const day = 86_400_000

export type Entry = {
  readonly id: number
  begin: number
  /** Undefined while it runs. */
  end: number | undefined
  description: string
  readonly project: number
  readonly activity: number
  readonly user: number
  readonly tags: readonly string[]
  exported: boolean
  billable: boolean
  modifiedAt: number
}

export const people = [
  { id: 1, username: 'root', roles: ['ROLE_SUPER_ADMIN', 'ROLE_USER'], timeZone: 'Europe/Berlin' },
  { id: 2, username: 'ana', roles: ['ROLE_USER'], timeZone: 'Europe/Ljubljana' },
  { id: 3, username: 'boris', roles: ['ROLE_USER'], timeZone: 'Europe/Berlin' },
  { id: 4, username: 'atlas', roles: ['ROLE_REPORTS', 'ROLE_USER'], timeZone: 'Europe/Berlin' },
  { id: 5, username: 'atlas-writer', roles: ['ROLE_TEAMLEAD', 'ROLE_USER'], timeZone: 'Europe/Berlin' },
] as const
export type Person = (typeof people)[number]

const globalActivities = ['Support', 'Change', 'On call', 'Meeting'] as const
const work = ['Patched', 'Restored a file on', 'Looked into the disk of', 'Moved', 'Answered a call about'] as const

export type Book = ReturnType<typeof makeBook>

/**
 * Customers are the tenants of the truth, with two projects each. Timesheets are made from their number when asked for; kept
 * are only changes. Descriptions name machines of the truth.
 */
export function makeBook({ truth, count, now }: { truth: Truth; count: number; now: () => Date }) {
  const dice = makeDice(13)
  const { estate } = truth
  const began = truth.now.getTime()
  const tenants = estate.counts.tenants
  const changed = new Map<number, Entry>()
  const removed = new Set<number>()
  const hidden = new Set<number>()
  let last = count

  function made(id: number): Entry {
    const begin = began - Math.round((1 - id / (count + 1)) * 200 * day)
    const start = begin - (begin % (5 * minute))
    const end = start + (1 + (dice.whole(1, id) % 32)) * 15 * minute
    const project = 1 + (dice.whole(2, id) % (tenants * 2))
    const { vms, devices } = estate.counts
    const machine = vms > 0 ? estate.vm(dice.whole(3, id) % vms) : estate.device(dice.whole(3, id) % devices)
    return {
      id,
      begin: start,
      end: id === count ? undefined : end,
      description: `${dice.pick(work, 4, id)} ${machine.hostName}`,
      project,
      activity: 1 + (dice.whole(5, id) % globalActivities.length),
      user: 2 + (dice.whole(6, id) % 2),
      tags: id % 5 === 0 ? ['night'] : [],
      exported: begin < began - 60 * day,
      billable: id % 3 !== 0,
      modifiedAt: Math.min(end, began - minute),
    }
  }

  const entry = (id: number) => (id < 1 || id > last || removed.has(id) ? undefined : (changed.get(id) ?? made(id)))
  const save = (entry: Entry): Entry => {
    const kept = { ...entry, modifiedAt: now().getTime() }
    changed.set(entry.id, kept)
    return kept
  }

  const projects = (): Json[] =>
    Array.from({ length: tenants * 2 }, (_, i) => ({
      id: i + 1,
      name: `${estate.tenant(Math.floor(i / 2)).name} ${i % 2 === 0 ? 'operations' : 'migration'}`,
      customer: Math.floor(i / 2) + 1,
      parentTitle: estate.tenant(Math.floor(i / 2)).name,
      number: `P${i + 1}`,
      orderNumber: null,
      start: null,
      end: null,
      comment: null,
      visible: i % 7 !== 6,
      billable: true,
      color: null,
      globalActivities: true,
      metaFields: [],
      teams: [],
    }))

  return {
    entry,
    *entries(): Generator<Entry> {
      for (let id = 1; id <= last; id++) {
        const one = entry(id)
        if (one) yield one
      }
    },
    customers: (): Json[] =>
      Array.from({ length: tenants }, (_, i) => ({
        id: i + 1,
        name: estate.tenant(i).name,
        number: `C${i + 1}`,
        comment: null,
        visible: !hidden.has(i + 1),
        billable: true,
        currency: 'EUR',
        country: 'SI',
        company: `${estate.tenant(i).name} d.o.o.`,
        timezone: 'Europe/Ljubljana',
        phone: '+386 1 000 00 00',
        email: `billing@${estate.tenant(i).slug}.example.com`,
        color: null,
        'color-safe': '#5319e7',
        metaFields: [],
        teams: [],
      })),
    projects,
    activities: (): Json[] => [
      ...globalActivities.map((name, i) => ({ id: i + 1, name, project: null, visible: true, billable: i !== 3 })),
      { id: globalActivities.length + 1, name: 'Cutover', project: 2, visible: true, billable: true },
    ],
    hideCustomer: (id: number) => void hidden.add(id),
    save,
    add: (given: Omit<Entry, 'id' | 'modifiedAt'>): Entry => save({ ...given, id: ++last, modifiedAt: 0 }),
    /** As if someone had edited it. */
    touch(id: number, description: string): void {
      const one = entry(id)
      if (one) save({ ...one, description })
    },
    remove: (id: number) => void removed.add(id),
    machineNames: () => new Set(Array.from({ length: estate.counts.vms }, (_, i) => estate.vm(i).hostName)),
  }
}

/** `entity`: the answer for one entry has more than a list's. `full`: objects in place of ids. */
export function entryJson(book: Book, entry: Entry, form: 'collection' | 'entity' | 'full'): Json {
  const person = people.find(({ id }) => id === entry.user) ?? people[0]
  const embedded = (rows: readonly Json[], id: number) => (form === 'full' ? rows.find((row) => row['id'] === id) : id)
  return {
    id: entry.id,
    begin: localTime(entry.begin, person.timeZone),
    end: entry.end === undefined ? null : localTime(entry.end, person.timeZone),
    duration: entry.end === undefined ? 0 : Math.round((entry.end - entry.begin) / 1000),
    break: 0,
    description: entry.description,
    rate: 50,
    internalRate: 40,
    activity: embedded(book.activities(), entry.activity),
    project: embedded(book.projects(), entry.project),
    user: form === 'full' ? { id: person.id, username: person.username } : person.id,
    tags: entry.tags,
    exported: entry.exported,
    billable: entry.billable,
    metaFields: [],
    ...(form === 'entity' && { fixedRate: null, hourlyRate: null }),
  }
}
