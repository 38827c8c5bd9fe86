import { z } from 'zod'
import { connectionAction } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { flatten } from './flatten.ts'
import { utc } from './observe.ts'
import { nodeFields } from './pages.ts'
import { and, list, literal } from './query.ts'
import { Facts, Names, Nodes, Reports } from './schema.ts'

const Certname = z
  .string()
  .regex(/^[a-z0-9_](?:[a-z0-9_.-]{0,253}[a-z0-9_])?$/)
  .describe("The node's certname, usually its full name in lower case.")
const Words = z.string().regex(/^[\w.-]{1,100}$/)
const Status = z.enum(['changed', 'unchanged', 'failed'])
const Time = z.iso.datetime({ offset: true })
const Limit = z.coerce.number().int().min(1).max(200).default(25).describe('How many at most (1 to 200).')
const Cursor = z
  .string()
  .regex(/^[1-9]\d{0,8}$/)
  .optional()
  .describe('`next` of the previous answer.')
const text = z.string().nullable()

const findNodes = connectionAction({
  name: 'puppetdb.nodes.find',
  title: 'Find nodes in PuppetDB',
  description:
    'Asks PuppetDB itself, now, for active nodes by name, status of the last run, environment or age of the last report. For a search over all systems use the inventory.',
  access: 'read',
  http: { method: 'GET', path: '/puppetdb/nodes' },
  input: {
    name: Words.optional().describe('Part of the certname.'),
    status: Status.optional().describe('How the last Puppet run ended.'),
    environment: Words.optional().describe('The exact environment of the last report, for example production.'),
    reportedBefore: Time.optional().describe('Only nodes whose last report is older than this time.'),
    limit: Limit,
    cursor: Cursor,
  },
  output: z.object({
    items: z.array(
      z.object({
        certname: z.string(),
        status: text,
        environment: text,
        reportAt: text,
        factsAt: text,
        noop: z.boolean(),
      }),
    ),
    next: text,
    total: z.int().nullable(),
  }),
  async run({ name, status, environment, reportedBefore, limit, cursor }, { http }) {
    const where = and(
      name ? ['~', 'certname', literal(name.toLowerCase())] : undefined,
      status && ['=', 'latest_report_status', status],
      environment ? ['=', 'report_environment', environment] : undefined,
      reportedBefore ? ['<', 'report_timestamp', new Date(reportedBefore).toISOString()] : undefined,
    )
    const offset = Number(cursor ?? 0)
    const { rows, total } = await list(http, 'nodes', Nodes, {
      fields: nodeFields,
      where,
      orderBy: 'certname',
      limit,
      offset,
    })
    return {
      items: rows.map((node) => ({
        certname: node.certname,
        status: node.latest_report_status ?? null,
        environment: node.report_environment ?? node.facts_environment ?? null,
        reportAt: utc(node.report_timestamp) ?? null,
        factsAt: utc(node.facts_timestamp) ?? null,
        noop: node.latest_report_noop ?? false,
      })),
      next: nextOf(rows, offset, limit, total),
      total: total ?? null,
    }
  },
})

const readNodeFacts = connectionAction({
  name: 'puppetdb.node.facts',
  title: 'Read the facts of one node from PuppetDB',
  description:
    'Reads what Puppet knows of one active node: system, network, hardware and custom facts, as a flat list of paths. Facts whose names or values look like secrets are left out and counted.',
  access: 'read',
  http: { method: 'GET', path: '/puppetdb/nodes/{certname}/facts' },
  input: {
    certname: Certname,
    fact: Words.optional().describe('Only this fact with all below it, for example networking.'),
  },
  output: z.object({
    certname: z.string(),
    facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
    leftOut: z.int().describe('How many facts were left out because they may hold secrets.'),
    truncated: z.boolean().describe('Whether there are more facts than are shown.'),
  }),
  async run({ certname, fact }, { http }) {
    const named = and(['=', 'certname', certname], fact ? ['=', 'name', fact] : undefined)
    const limit = 1000
    const { rows } = await list(http, 'facts', Facts, {
      fields: ['name', 'value'],
      where: named,
      orderBy: 'name',
      limit,
    })
    if (rows.length === 0) await mustExist(http, certname)
    const flat = flatten(rows)
    return { certname, ...flat, truncated: flat.truncated || rows.length === limit }
  },
})

const listReports = connectionAction({
  name: 'puppetdb.reports.list',
  title: 'List Puppet runs from PuppetDB',
  description:
    'Lists reports of Puppet runs, newest first, without their logs: of one node or all, by status and time.',
  access: 'read',
  http: { method: 'GET', path: '/puppetdb/reports' },
  input: {
    certname: Certname.optional(),
    status: Status.optional().describe('How the run ended.'),
    since: Time.optional().describe('Only reports received since this time.'),
    limit: Limit,
    cursor: Cursor,
  },
  output: z.object({
    items: z.array(
      z.object({
        hash: z.string(),
        certname: z.string(),
        status: text,
        noop: z.boolean(),
        environment: text,
        puppetVersion: text,
        startedAt: text,
        endedAt: text,
        receivedAt: text,
      }),
    ),
    next: text,
    total: z.int().nullable(),
  }),
  async run({ certname, status, since, limit, cursor }, { http }) {
    const where = and(
      certname ? ['=', 'certname', certname] : undefined,
      status && ['=', 'status', status],
      since ? ['>=', 'receive_time', new Date(since).toISOString()] : undefined,
    )
    const offset = Number(cursor ?? 0)
    const fields = Object.keys(Reports.element.shape)
    const ordered = { orderBy: 'receive_time', descending: true, limit, offset }
    const { rows, total } = await list(http, 'reports', Reports, { fields, where, ...ordered })
    return {
      items: rows.map((report) => ({
        hash: report.hash,
        certname: report.certname,
        status: report.status ?? null,
        noop: report.noop ?? false,
        environment: report.environment ?? null,
        puppetVersion: report.puppet_version ?? null,
        startedAt: utc(report.start_time) ?? null,
        endedAt: utc(report.end_time) ?? null,
        receivedAt: utc(report.receive_time) ?? null,
      })),
      next: nextOf(rows, offset, limit, total),
      total: total ?? null,
    }
  },
})

export const actions = [findNodes, readNodeFacts, listReports] as const

function nextOf(rows: readonly unknown[], offset: number, limit: number, total: number | undefined): string | null {
  const seen = offset + rows.length
  return rows.length === limit && (total === undefined || seen < total) ? String(seen) : null
}

/** A node without facts and a node that is not there (or is deactivated) answer the same empty list. */
async function mustExist(http: Parameters<typeof list>[0], certname: string): Promise<void> {
  const where = ['=', 'certname', certname] as const
  const { rows } = await list(http, 'nodes', Names, { fields: ['certname'], where, orderBy: 'certname', limit: 1 })
  if (rows.length === 0) throw new Problem('not-found', `PuppetDB has no active node ${certname}`)
}
