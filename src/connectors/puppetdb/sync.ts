import { z } from 'zod'
import type { Cursor, SyncBatch, SyncContext } from '../../core/connector.ts'
import { factFields, observeNode } from './observe.ts'
import { nodePages, readFacts } from './pages.ts'
import { type Ast, list } from './query.ts'
import { Inactive, ServerTime } from './schema.ts'

const seconds = 1000
const days = 86_400 * seconds

/** Re-read before the last run's start: PuppetDB stamps what it receives before it is stored. */
const skew = 120 * seconds
/** Deactivated nodes are purged after `node-purge-ttl` (14 days, or what the site sets): after a longer gap everything is read. */
const oldestCursor = 1 * days

const SyncCursor = z.object({ since: z.iso.datetime() })
type Config = { url: string; pageSize: number; facts: readonly string[] }

/** Reads all nodes with chosen facts, or those of which PuppetDB received facts or a report since the cursor. */
export async function* sync(context: SyncContext<Config>): AsyncGenerator<SyncBatch, Cursor> {
  const { http } = context
  const { server_time } = await http.get('/pdb/meta/v1/server-time', ServerTime)
  const started = new Date(server_time)
  const since = sinceOf(context.cursor, started)
  if (since) {
    yield* inactive(context, since)
    yield* nodes(context, 'changed nodes', receivedSince(since.toISOString()))
  } else {
    for await (const batch of nodes(context, 'nodes')) yield { ...batch, full: true }
  }
  return { since: started.toISOString() }
}

async function* nodes({ http, config }: SyncContext<Config>, stage: string, where?: Ast): AsyncGenerator<SyncBatch> {
  const fields = factFields(config.facts)
  for await (const { nodes, total } of nodePages(http, config.pageSize, where)) {
    const facts = await readFacts(http, fields, nodes)
    const observations = nodes.map((node) => observeNode(node, facts.get(node.certname), config.facts))
    yield { stage, ...(total !== undefined && { total }), observations }
  }
}

/** By PuppetDB's own clock. A node's `report_timestamp` is its agent's clock, which may be wrong; a report's `receive_time` is not. */
export function receivedSince(time: string): Ast {
  const reported: Ast = ['extract', 'certname', ['select_reports', ['>=', 'receive_time', time]]]
  return ['or', ['>=', 'facts_timestamp', time], ['in', 'certname', reported]]
}

/**
 * Nodes that were deactivated or expired. Their times cannot be compared in a query, so all inactive nodes are read, and those
 * of the last day before the cursor too: the times come from whoever deactivated them. Saying it twice does no harm.
 */
async function* inactive({ http, config }: SyncContext<Config>, since: Date): AsyncGenerator<SyncBatch> {
  const earliest = since.getTime() - 1 * days
  for (let offset = 0; ; offset += config.pageSize) {
    const { rows, total } = await list(http, 'nodes', Inactive, {
      fields: ['certname', 'deactivated', 'expired'],
      where: ['=', 'node_state', 'inactive'],
      orderBy: 'certname',
      limit: config.pageSize,
      offset,
    })
    const gone = rows
      .filter(({ deactivated, expired }) => Math.max(timeOf(deactivated), timeOf(expired)) >= earliest)
      .map(({ certname }) => ({ kind: 'node', externalId: certname }))
    yield { stage: 'inactive nodes', ...(total !== undefined && { total }), gone }
    if (rows.length < config.pageSize) return
  }
}

function timeOf(text: string | null | undefined): number {
  return Date.parse(text ?? '') || 0
}

function sinceOf(cursor: Cursor | undefined, started: Date): Date | undefined {
  const { data } = SyncCursor.safeParse(cursor)
  if (!data) return undefined
  const since = Date.parse(data.since)
  const age = started.getTime() - since
  return age < 0 || age > oldestCursor ? undefined : new Date(since - skew)
}
