import { z } from 'zod'
import { type Action, defineAction } from '../../../core/action.ts'
import { Problem } from '../../../core/problem.ts'
import type { MachineParts, NameOf } from './action-parts.ts'
import { contextText } from './context.ts'
import type { Whole } from './machine.ts'
import { EventShape, FindingShape, lineOf, MachineId, MachineLine, NeighbourShape, ProblemShape } from './shapes.ts'
import { addressesOf, backupOf, liveOf, monitoringOf, neighbourOf, powerOf, problemsOf } from './summary.ts'

export function contextActions(parts: MachineParts): readonly Action[] {
  return [overviewAction(parts), contextAction(parts)]
}

const overview = MachineLine.extend({
  addresses: z.array(z.string()),
  serials: z.array(z.string()),
  power: z.string().nullable(),
  isMonitored: z.boolean().nullable().describe('Null: no monitoring has it.'),
  backupAt: z.string().nullable().describe('End of the last good backup; null: none is known.'),
  problems: z.array(ProblemShape),
  findings: z.array(FindingShape),
  systems: z.array(
    z.object({
      connection: z.string().describe('Name of the connection.'),
      connector: z.string(),
      kind: z.string(),
      name: z.string(),
      status: z.string().nullable(),
      isGone: z.boolean(),
      url: z.string().nullable(),
      asset: z.string(),
    }),
  ),
})

function overviewAction({ machines, connectionName, findingsOf }: MachineParts): Action {
  return defineAction({
    name: 'inventory.machines.overview',
    tool: 'machine_overview',
    title: 'Look a machine up',
    description:
      'One compact answer about the machine that a name, address, serial, UUID, MAC address or id means: its state in every system, problems, backup, links. Start here.',
    access: 'read',
    http: { method: 'GET', path: '/inventory/overview' },
    input: z.strictObject({
      machine: z.string().min(1).max(200).describe('Name, address, serial, UUID, MAC address or id (mch_…).'),
    }),
    output: z.object({
      machine: overview,
      others: z.array(MachineLine).describe('Other machines that this may mean, the best first.'),
    }),
    resource: () => ({ type: 'inventory', id: '*' }),
    async run({ machine: text }) {
      const [best, ...others] = await machines.resolve(text)
      if (!best) throw new Problem('not-found', 'No machine has that name, address, serial or id')
      const found = await machines.get(best.id)
      const findings = await findingsOf(found.machine.id)
      return { machine: await overviewOf(found, findings, connectionName), others: others.map(lineOf) }
    },
  })
}

async function overviewOf(
  { machine, assets, neighbours }: Whole,
  findings: readonly z.input<typeof FindingShape>[],
  nameOf: NameOf,
): Promise<z.input<typeof overview>> {
  const live = liveOf(assets)
  const systems = assets.slice(0, 30).map(async ({ id, connection, connector, kind, name, status, staleAt, url }) => ({
    connection: (await nameOf(connection)) ?? connection,
    connector,
    kind,
    name,
    status,
    isGone: staleAt !== null,
    url,
    asset: id,
  }))
  return {
    ...lineOf(machine),
    addresses: addressesOf(live).map(({ address }) => address),
    serials: [...new Set(live.flatMap(({ serial }) => serial ?? []))],
    power: powerOf(live)?.power ?? null,
    isMonitored: monitoringOf(live)?.isMonitored ?? null,
    backupAt: backupOf(live)?.at ?? null,
    problems: problemsOf(neighbours).slice(0, 10),
    findings: [...findings],
    systems: await Promise.all(systems),
  }
}

function contextAction({ machines, connectionName, findingsOf }: MachineParts): Action {
  return defineAction({
    name: 'inventory.machines.context',
    tool: 'machine_context',
    title: 'Context of a machine',
    description:
      'What one needs to know before working on a machine: what it is, what is around it, what changed lately, what is wrong. As data and as a text of a page.',
    access: 'read',
    http: { method: 'GET', path: '/machines/{machine}/context' },
    input: z.strictObject({ machine: MachineId.describe('Id of the machine (mch_…).') }),
    output: z.object({
      machine: MachineLine,
      neighbours: z.array(NeighbourShape),
      changes: z.array(EventShape).describe('The newest first.'),
      problems: z.array(ProblemShape),
      findings: z.array(FindingShape),
      text: z.string().describe('The same in words.'),
    }),
    resource: ({ machine }) => ({ type: 'machine', id: machine }),
    async run({ machine: id }) {
      const found = await machines.get(id)
      const findings = [...(await findingsOf(found.machine.id))]
      const changes = found.timeline.filter(({ what }) => what !== 'seen').slice(0, 20)
      return {
        machine: lineOf(found.machine),
        neighbours: found.neighbours.slice(0, 50).map(neighbourOf),
        changes: changes.map((event) => ({
          ...event,
          fields: Object.fromEntries(Object.entries(event.fields).map(([field, values]) => [field, [...values]])),
        })),
        problems: problemsOf(found.neighbours),
        findings,
        text: await contextText({ ...found, timeline: changes }, findings, connectionName),
      }
    },
  })
}
