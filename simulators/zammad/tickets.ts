import { makeDice } from '../lib/random.ts'
import type { Truth } from '../lib/truth.ts'

export type Json = Record<string, unknown>

const hour = 3_600_000
const day = 24 * hour

const states = ['new', 'open', 'pending reminder', 'closed'] as const
const priorities = ['1 low', '2 normal', '3 high'] as const
const groups = ['Infrastructure', 'Service Desk'] as const
const agents = ['ana@example.net', 'boris@example.net', 'chen@example.net', 'dara@example.net'] as const
const subjects = [
  'Disk almost full on',
  'No login on',
  'Move to another cluster:',
  'Restore a folder of',
  'Add memory to',
  'Certificate expires on',
  'Slow since the update:',
] as const

export type TimeEntry = {
  readonly id: number
  readonly ticket: number
  readonly units: number
  readonly agent: number
  readonly at: number
}
export type Article = Json & { readonly id: number }

type Changed = { readonly state?: string; readonly at: number }

export type Tickets = ReturnType<typeof makeTickets>

/**
 * Invented tickets about machines of the truth, made from their number when asked for; kept are only changes. A ticket's
 * customer belongs to the machine's tenant.
 */
export function makeTickets({ truth, count, now }: { truth: Truth; count: number; now: () => Date }) {
  const dice = makeDice(11)
  const { estate } = truth
  const began = truth.now.getTime()
  const updatedAt = new Float64Array(count + 1)
  const changes = new Map<number, Changed>()
  const added = new Map<number, { title: string; at: number }>()
  const removed = new Set<number>()
  const extraTime = new Map<number, TimeEntry[]>()
  const extraArticles = new Map<number, Article[]>()
  let lastId = count
  let lastTime = count * 4
  let lastArticle = count * 4

  const createdAt = (id: number) => began - Math.round((1 - id / (count + 1)) * 300 * day)
  for (let id = 1; id <= count; id++)
    updatedAt[id] = Math.min(began - hour, createdAt(id) + Math.round(dice.part(1, id) * 20 * day))

  const isThere = (id: number) => id >= 1 && id <= lastId && !removed.has(id)
  const changedAt = (id: number) => changes.get(id)?.at ?? added.get(id)?.at ?? (updatedAt[id] as number)

  /** The machine that a ticket is about. */
  function machineOf(id: number) {
    const { vms, devices } = estate.counts
    return vms > 0 ? estate.vm(dice.whole(2, id) % vms) : estate.device(dice.whole(2, id) % devices)
  }

  function timeOf(id: number): TimeEntry[] {
    const booked = added.has(id) ? 0 : dice.whole(3, id) % 4
    const own = Array.from({ length: booked }, (_, n) => ({
      id: id * 4 + n,
      ticket: id,
      units: 5 * (1 + (dice.whole(4, id, n) % 24)),
      agent: dice.whole(5, id, n) % agents.length,
      at: Math.min(createdAt(id) + (n + 1) * 5 * hour, changedAt(id)),
    }))
    return [...own, ...(extraTime.get(id) ?? [])]
  }

  function articlesOf(id: number): Article[] {
    const { hostName } = machineOf(id)
    const first = {
      id: id * 4,
      ticket_id: id,
      from: customerOf(id),
      sender: 'Customer',
      type: 'email',
      internal: false,
      subject: titleOf(id),
      body: `<div>Hello,<br>please have a look at <b>${hostName}</b> &amp; its disks.</div>`,
      content_type: 'text/html',
      created_at: stamp(createdAt(id)),
    }
    return [first, ...(extraArticles.get(id) ?? [])]
  }

  const titleOf = (id: number) => added.get(id)?.title ?? `${dice.pick(subjects, 6, id)} ${machineOf(id).hostName}`
  const organizationOf = (id: number) => estate.tenant(machineOf(id).tenant)
  const customerOf = (id: number) => `it@${organizationOf(id).slug}.example.com`

  /** With names, as `expand=true` gives it; the ids beside them are always there. */
  function ticket(id: number, expand: boolean): Json {
    const state = changes.get(id)?.state ?? (added.has(id) ? 'new' : dice.pick(states, 7, id))
    const priority = dice.pick(priorities, 8, id)
    const group = dice.pick(groups, 9, id)
    const units = timeOf(id).reduce((sum, entry) => sum + entry.units, 0)
    const at = stamp(changedAt(id))
    return {
      id,
      group_id: groups.indexOf(group) + 1,
      priority_id: priorities.indexOf(priority) + 1,
      state_id: (states as readonly string[]).indexOf(state) + 1,
      organization_id: machineOf(id).tenant + 1,
      number: String(60_000 + id),
      title: titleOf(id),
      owner_id: state === 'new' ? 1 : 3,
      customer_id: 100 + machineOf(id).tenant,
      note: null,
      close_at: state === 'closed' ? at : null,
      pending_time: state === 'pending reminder' ? stamp(began + 3 * day) : null,
      escalation_at: null,
      article_count: articlesOf(id).length,
      time_unit: units === 0 ? null : `${units}.0`,
      type: null,
      preferences: {},
      created_at: stamp(added.get(id)?.at ?? createdAt(id)),
      updated_at: at,
      ...(expand && {
        group,
        priority,
        state,
        organization: organizationOf(id).name,
        owner: state === 'new' ? '-' : dice.pick(agents, 10, id),
        customer: customerOf(id),
      }),
    }
  }

  const touch = (id: number, more: Partial<Changed> = {}) =>
    void changes.set(id, { ...changes.get(id), at: now().getTime(), ...more })

  return {
    isThere,
    ticket,
    titleOf,
    changedAt,
    articlesOf,
    timeOf,
    machineOf,
    *ids(): Generator<number> {
      for (let id = 1; id <= lastId; id++) if (isThere(id)) yield id
    },
    timeJson: (entry: TimeEntry, expand: boolean): Json => ({
      id: entry.id,
      ticket_id: entry.ticket,
      ticket_article_id: null,
      time_unit: `${entry.units}.0`,
      type_id: entry.units > 60 ? 2 : null,
      created_by_id: 3 + entry.agent,
      created_at: stamp(entry.at),
      updated_at: stamp(entry.at),
      ...(expand && { created_by: agents[entry.agent] }),
    }),
    touch,
    add(title: string): number {
      lastId += 1
      added.set(lastId, { title, at: now().getTime() })
      return lastId
    },
    remove: (id: number) => void removed.add(id),
    setState: (id: number, state: (typeof states)[number]) => touch(id, { state }),
    /** Booking time touches the ticket. */
    book(id: number, units: number): number {
      const entry = { id: ++lastTime + 4, ticket: id, units, agent: 0, at: now().getTime() }
      extraTime.set(id, [...(extraTime.get(id) ?? []), entry])
      touch(id)
      return entry.id
    },
    write(id: number, article: Json): Article {
      const kept = { ...article, id: ++lastArticle + 4, created_at: stamp(now().getTime()) }
      extraArticles.set(id, [...(extraArticles.get(id) ?? []), kept])
      touch(id)
      return kept
    },
  }
}

function stamp(at: number): string {
  return new Date(at).toISOString()
}
