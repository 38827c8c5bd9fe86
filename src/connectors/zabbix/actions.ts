import { z } from 'zod'
import { connectionAction } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { createMaintenance, PlainText } from './maintenance.ts'
import { baseOf, observeHost, problemPage, severityNames } from './observe.ts'
import { hosts, type Open, openProblems } from './read.ts'
import { call, versionOf } from './rpc.ts'
import { Acknowledged, ProblemRow } from './schema.ts'

const Id = z.string().regex(/^[1-9]\d{0,18}$/)
const EventId = Id.describe("The problem's id in Zabbix (its event id).")
const HostId = Id.describe("The host's id in Zabbix.")

const ShownProblem = z.object({
  id: z.string(),
  name: z.string(),
  severity: z.int().describe('0 (not classified) to 5 (disaster).'),
  severityName: z.string(),
  openedAt: z.string(),
  acknowledged: z.boolean(),
  suppressed: z.boolean().describe('Hidden by a maintenance or by a person.'),
  hosts: z.array(z.object({ id: z.string(), name: z.string() })),
  triggerId: z.string(),
  url: z.string(),
})

const listProblems = connectionAction({
  name: 'zabbix.problems.list',
  title: 'List open problems in Zabbix',
  description:
    'Asks Zabbix itself, now, for its open problems, newest first, as its own Problems page shows them. For a search over all systems use the inventory.',
  access: 'read',
  http: { method: 'GET', path: '/zabbix/problems' },
  input: {
    host: HostId.optional().describe("Only problems of this host: the host's id in Zabbix."),
    minSeverity: z.coerce
      .number()
      .int()
      .min(0)
      .max(5)
      .default(0)
      .describe(
        'Only this severity and above: 0 not classified, 1 information, 2 warning, 3 average, 4 high, 5 disaster.',
      ),
    acknowledged: z.enum(['yes', 'no']).optional().describe('Only acknowledged ones, or only the others.'),
    limit: z.coerce.number().int().min(1).max(200).default(25).describe('How many at most (1 to 200).'),
    cursor: Id.optional().describe('`next` of the previous answer.'),
  },
  output: z.object({ items: z.array(ShownProblem), next: z.string().nullable() }),
  async run({ host, minSeverity, acknowledged, limit, cursor }, { http, config }) {
    const { open, count, last } = await openProblems(http, {
      sortorder: 'DESC',
      limit,
      ...(host !== undefined && { hostids: [host] }),
      ...(minSeverity > 0 && { severities: [0, 1, 2, 3, 4, 5].slice(minSeverity) }),
      ...(acknowledged && { acknowledged: acknowledged === 'yes' }),
      ...(cursor !== undefined && { eventid_till: String(BigInt(cursor) - 1n) }),
    })
    return {
      items: open.map((one) => shownProblem(one, baseOf(config))),
      next: count === limit && last !== undefined ? last : null,
    }
  },
})

const acknowledge = connectionAction({
  name: 'zabbix.problem.acknowledge',
  title: 'Acknowledge a problem in Zabbix',
  description:
    'Marks one open problem in Zabbix as acknowledged, so that others see that someone has taken note. Does not close it. Repeating it changes nothing.',
  access: 'write',
  http: { method: 'POST', path: '/zabbix/problems/{id}/acknowledgement' },
  input: { id: EventId },
  output: z.object({ id: z.string(), acknowledged: z.literal(true), changed: z.boolean() }),
  async run({ id }, { http }) {
    const { acknowledged } = await oneProblem(http, id)
    if (!acknowledged) await update(http, { eventids: [id], action: 2 })
    return { id, acknowledged: true as const, changed: !acknowledged }
  },
})

const comment = connectionAction({
  name: 'zabbix.problem.comment',
  title: 'Comment on a problem in Zabbix',
  description:
    "Adds a message to one open problem in Zabbix, where the problem's page shows it with the account's name. Each call adds one more, also when the same text is sent again.",
  access: 'write',
  http: { method: 'POST', path: '/zabbix/problems/{id}/comments' },
  input: { id: EventId, message: PlainText.min(1).max(2048).describe('The message, as plain text.') },
  output: z.object({ id: z.string() }),
  async run({ id, message }, { http }) {
    await oneProblem(http, id)
    await update(http, { eventids: [id], action: 4, message })
    return { id }
  },
})

const getHost = connectionAction({
  name: 'zabbix.host.get',
  title: 'Read one host from Zabbix',
  description: 'Reads one host from Zabbix, now: names, state, addresses, groups, tags and inventory.',
  access: 'read',
  http: { method: 'GET', path: '/zabbix/hosts/{id}' },
  input: { id: HostId },
  output: z.object({
    id: z.string(),
    name: z.string(),
    status: z.string().optional(),
    serial: z.string().optional(),
    addresses: z.array(z.string()).readonly().optional(),
    url: z.string().optional(),
    attributes: z.record(
      z.string(),
      z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string()).readonly()]),
    ),
  }),
  async run({ id }, { http, config }) {
    const [row] = await hosts(http, await versionOf(http), [id])
    if (!row) throw new Problem('not-found', 'Zabbix has no such host, or the account may not see it.')
    const { name, status, serial, addresses, url, attributes } = observeHost(row, baseOf(config))
    return { id, name, status, serial, addresses, url, attributes }
  },
})

type Http = Parameters<typeof versionOf>[0]

async function oneProblem(http: Http, id: string): Promise<z.output<typeof ProblemRow>> {
  const output = ['eventid', 'objectid', 'clock', 'name', 'acknowledged', 'severity']
  const [row] = await call(http, 'problem.get', { eventids: [id], output }, z.array(ProblemRow))
  if (!row) throw new Problem('not-found', 'Zabbix has no open problem with this id, or the account may not see it.')
  return row
}

function update(http: Http, params: { eventids: string[]; action: number; message?: string }) {
  return call(http, 'event.acknowledge', params, Acknowledged)
}

function shownProblem({ problem, trigger }: Open, base: string): z.input<typeof ShownProblem> {
  return {
    id: problem.eventid,
    name: problem.name,
    severity: problem.severity,
    severityName: severityNames[problem.severity] ?? 'unknown',
    openedAt: problem.clock,
    acknowledged: problem.acknowledged,
    suppressed: problem.suppressed === true,
    hosts: trigger.hosts.map(({ hostid, name }) => ({ id: hostid, name })),
    triggerId: problem.objectid,
    url: problemPage(base, problem.objectid, problem.eventid),
  }
}

export const actions = [listProblems, acknowledge, comment, createMaintenance, getHost]
