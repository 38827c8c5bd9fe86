import { z } from 'zod'
import { type Action, defineAction } from '../../../core/action.ts'
import type { MachineParts, NameOf } from './action-parts.ts'
import { contextActions } from './actions-context.ts'
import { decisionActions } from './actions-decide.ts'
import type { Whole } from './machine.ts'
import {
  ConflictShape,
  DecisionShape,
  EventShape,
  LinkShape,
  lineOf,
  MachineId,
  MachineLine,
  Member,
  MentionShape,
  NeighbourShape,
  PossibleShape,
  ProblemShape,
} from './shapes.ts'
import {
  addressesOf,
  backupOf,
  liveOf,
  monitoringOf,
  neighbourOf,
  placementOf,
  powerOf,
  problemsOf,
} from './summary.ts'
import type { MachineAsset } from './view.ts'

/** What can be asked of machines, and how people correct them. */
export function machineActions(parts: MachineParts): readonly Action[] {
  return [searchAction(parts), getAction(parts), ...contextActions(parts), ...decisionActions(parts)]
}

const flag = z.union([z.boolean(), z.stringbool({ truthy: ['true'], falsy: ['false'] })])

function searchAction({ machines, resolveConnection }: MachineParts): Action {
  return defineAction({
    name: 'inventory.machines.search',
    title: 'Search machines',
    description:
      'Finds machines: what several systems know as one thing. By name, part of a name, address, serial, UUID or MAC address, or all in the order of their names.',
    access: 'read',
    http: { method: 'GET', path: '/machines' },
    input: z.strictObject({
      q: z.string().max(200).optional().describe('Words that must all match one of the entries of the machine.'),
      site: z.string().min(1).max(500).optional().describe('Only at this site, by name.'),
      form: z.enum(['physical', 'virtual']).optional().describe('Only these.'),
      connection: z.string().min(1).max(64).optional().describe('Only what this connection has or had, by id or name.'),
      hasConflict: flag
        .optional()
        .describe('true: only machines whose entries contradict each other; false: the others.'),
      gone: flag.default(false).describe('true: only machines that no system reports any more.'),
      limit: z.coerce.number().int().min(1).max(200).default(50).describe('How many at most (1–200).'),
      cursor: z
        .string()
        .min(1)
        .max(8_000)
        .optional()
        .describe('The next value of the page before, for the same query.'),
    }),
    output: z.object({
      items: z.array(MachineLine),
      next: z.string().nullable().describe('Cursor of the next page.'),
      capped: z.boolean().describe('More entries match q than were looked at (1,000): more words find the others.'),
    }),
    // Not the connection that it asks for: a machine is found and named by what all systems say.
    resource: () => ({ type: 'inventory', id: '*' }),
    async run({ q, site, form, connection, hasConflict, gone, limit, cursor }) {
      const id = connection === undefined ? undefined : await resolveConnection(connection)
      const filter = { site, form, connection: id, hasConflict, gone }
      const { items, next, capped } = await machines.search({ text: q, filter, limit, cursor })
      return { items: items.map(lineOf), next, capped }
    },
  })
}

const whole = MachineLine.extend({
  members: z.array(Member).describe('Its entries in each system; those that are gone come last.'),
  links: z.array(LinkShape).describe('Why they are one machine.'),
  contradictions: z.array(ConflictShape),
  possible: z.array(PossibleShape).describe('Other machines that may be the same.'),
  decisions: z.array(DecisionShape).describe('What people decided about it.'),
  placement: z.array(NeighbourShape),
  addresses: z.array(z.object({ address: z.string(), connections: z.array(z.string()) })),
  power: z.object({ power: z.string(), since: z.string().nullable() }).nullable(),
  monitoring: z.object({ asset: z.string(), isMonitored: z.boolean(), status: z.string().nullable() }).nullable(),
  problems: z.array(ProblemShape).describe('Open problems, the worst first.'),
  backup: z
    .object({ asset: z.string(), at: z.string().nullable() })
    .nullable()
    .describe('The newest good backup; at null: never. Null: no backup system has it.'),
  neighbours: z.array(NeighbourShape),
  tickets: z.array(MentionShape),
  pages: z.array(MentionShape),
  timeline: z.array(EventShape).describe('The newest first.'),
})

function getAction({ machines, connectionName }: MachineParts): Action {
  return defineAction({
    name: 'inventory.machines.get',
    title: 'Show one machine',
    description:
      'Everything that all systems know of one machine: its entries and why they are one, contradictions, placement, addresses, monitoring, problems, backup, tickets and pages that name it, and its history.',
    access: 'read',
    http: { method: 'GET', path: '/machines/{machine}' },
    input: z.strictObject({ machine: MachineId.describe('Id of the machine (mch_…).') }),
    output: whole,
    resource: ({ machine }) => ({ type: 'machine', id: machine }),
    run: async ({ machine }) => shownWhole(await machines.get(machine), connectionName),
  })
}

async function shownWhole(found: Whole, nameOf: NameOf): Promise<z.input<typeof whole>> {
  const { machine, assets, neighbours, mentions, decisions, timeline } = found
  const live = liveOf(assets)
  return {
    ...lineOf(machine),
    members: await Promise.all(assets.map((asset) => memberOf(asset, nameOf))),
    ...identityOf(found),
    decisions: decisions.map((decision) => ({ ...decision, parts: decision.parts.map((part) => [...part]) })),
    placement: placementOf(neighbours),
    addresses: addressesOf(live),
    power: powerOf(live),
    monitoring: monitoringOf(live),
    problems: problemsOf(neighbours),
    backup: backupOf(live),
    neighbours: neighbours.map(neighbourOf),
    tickets: [...mentions.tickets],
    pages: [...mentions.pages],
    timeline: timeline.map((event) => ({
      ...event,
      fields: Object.fromEntries(Object.entries(event.fields).map(([field, values]) => [field, [...values]])),
    })),
  }
}

export function identityOf({ explanation, idOf, others }: Whole) {
  const ids = (seqs: readonly number[]) => seqs.flatMap((seq) => idOf.get(seq) ?? [])
  const possible = explanation.candidates.flatMap(({ machine, reasons }) => {
    const other = others.get(machine)
    return other ? [{ machine: other.id, name: other.name, reasons: [...reasons] }] : []
  })
  return {
    links: explanation.links.map(({ a, b, strength, reasons }) => ({
      assets: ids([a, b]),
      strength,
      reasons: [...reasons],
    })),
    contradictions: explanation.conflicts.map(({ kind, detail, assets }) => ({ kind, detail, assets: ids(assets) })),
    possible: [...new Map(possible.map((one) => [one.machine, one])).values()],
  }
}

async function memberOf(asset: MachineAsset, nameOf: NameOf): Promise<z.input<typeof Member>> {
  const { connection, connector, subjects, addresses, attributes, facts, ...rest } = asset
  return {
    ...rest,
    subjects: [...subjects],
    addresses: [...addresses],
    attributes: attributes as Record<string, string>,
    facts: { ...facts },
    source: { connection, name: (await nameOf(connection)) ?? null, connector },
  }
}
