import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import { wholeLog } from './actions-log.ts'
import { followAction } from './follow.ts'
import type { AuditLog } from './log.ts'

type Log = Pick<AuditLog, 'search' | 'touched' | 'follow' | 'proofOf'>

const text = (max: number) => z.string().min(1).max(max).optional()
const id = (prefix: string) =>
  z
    .string()
    .regex(new RegExp(`^${prefix}_[0-9a-z]{24}$`))
    .optional()

/** What a search can ask for; all of it must match. */
const filters = {
  principal: text(128).describe('Id of the user, agent or system that acted.'),
  onBehalfOf: text(128).describe('Id of the user that an agent worked for.'),
  action: text(128).describe('Name of the action, for example inventory.assets.search.'),
  resource: text(256).describe('A resource type, or type/id: connection or connection/con_….'),
  connection: id('con').describe('Id of a connection; the same as resource connection/con_….'),
  secret: id('sec').describe('Id of a secret; the same as resource secret/sec_….'),
  code: text(64).describe('Event code, for example action.failed.'),
  outcome: text(64).describe('ok, or a problem type such as denied.'),
  from: z.iso.datetime().optional().describe('Only events at or after this time (ISO 8601, UTC).'),
  to: z.iso.datetime().optional().describe('Only events before this time (ISO 8601, UTC).'),
}
type Filters = z.output<z.ZodObject<typeof filters>>

export const record = z.object({
  index: z.int(),
  at: z.string(),
  code: z.string(),
  principal: z
    .object({
      id: z.string().optional(),
      kind: z.string().optional(),
      name: z.string().optional(),
      tokenId: z.string().optional(),
    })
    .optional(),
  onBehalfOf: z.string().optional(),
  door: z.string().optional(),
  action: z.string().optional(),
  access: z.string().optional(),
  requestId: z.string().optional(),
  resource: z.object({ type: z.string(), id: z.string().optional() }).optional(),
  outcome: z.string().optional(),
  decision: z.object({ effect: z.string(), policies: z.array(z.string()), version: z.string() }).optional(),
  inputHash: z.string().optional(),
  approval: z.string().optional(),
  pruned: z
    .object({ minimum: z.int(), details: z.record(z.string(), z.int()), keep: z.record(z.string(), z.int()) })
    .optional()
    .describe('Of log.pruned: what retention deleted.'),
  erased: z.array(z.int()).optional().describe('Of audit.subject.forgotten: entries whose detail spoke of the person.'),
  personal: z
    .enum(['none', 'read', 'forgotten', 'pruned', 'damaged'])
    .describe('What became of the sealed part; pruned: retention deleted it.'),
})

/** What the end of a search hides. */
const gone = z
  .object({
    minimum: z.int().describe('Entries below it are gone.'),
    at: z.string(),
    entry: z.int().describe('The entry that says so.'),
    keep: z.record(z.string(), z.int()).describe('The policy by which it was done, in days.'),
  })
  .optional()
  .describe('On the last page: what retention has deleted, so that it cannot be found.')

/** The ways to find events. */
export function searchActions(log: Log): readonly Action[] {
  return [searchAction(log), followingAction(log), touchedAction(log)]
}

function searchAction(log: Log): Action {
  return defineAction({
    name: 'audit.events.search',
    title: 'Search the audit log',
    description: 'Finds audit events, newest first. All filters must match.',
    access: 'read',
    http: { method: 'GET', path: '/audit/events' },
    input: z.strictObject({
      ...filters,
      limit: z.coerce.number().int().min(1).max(200).default(50).describe('How many events to return.'),
      cursor: z
        .string()
        .regex(/^(0|[1-9][0-9]{0,14})$/)
        .optional()
        .describe('The next value of the page before.'),
      proofs: z.stringbool().or(z.boolean()).default(false).describe('With true, each event brings its .tlog-proof.'),
    }),
    output: z.object({
      items: z.array(record.extend({ proof: z.string().optional() })),
      next: z.string().nullable(),
      gone,
    }),
    resource: wholeLog,
    run: async ({ limit, cursor, proofs, ...asked }) => {
      const query = queryOf(asked)
      const page = query && (await log.search({ limit, ...query, ...(cursor !== undefined && { cursor }) }))
      if (!page) return { items: [], next: null }
      if (!proofs) return page
      const items = []
      for (const event of page.items) items.push({ ...event, proof: await log.proofOf(event.index) })
      return { ...page, items }
    },
  })
}

function followingAction(log: Log): Action {
  return defineAction({
    name: followAction,
    title: 'Follow the audit log',
    description:
      'Answers the events behind an index, oldest first, and waits for the first one. Call it again with next as after to go on.',
    access: 'read',
    http: { method: 'GET', path: '/audit/follow' },
    input: z.strictObject({
      ...filters,
      after: z.coerce
        .number()
        .int()
        .min(-1)
        .max(999_999_999_999_999)
        .optional()
        .describe('Index of the last event that is known; -1 for all. Absent: from now on.'),
      waitSeconds: z.coerce.number().int().min(0).max(25).default(20).describe('How long to wait for an event.'),
    }),
    output: z.object({ items: z.array(record), next: z.int() }),
    resource: wholeLog,
    run: async ({ after, waitSeconds, ...asked }, { signal }) => {
      const query = queryOf(asked)
      if (!query) return { items: [], next: after ?? -1 }
      return log.follow({ ...query, ...(after !== undefined && { after }) }, waitSeconds, signal)
    },
  })
}

function touchedAction(log: Log): Action {
  return defineAction({
    name: 'audit.principals.touched',
    title: 'Everything that somebody touched',
    description:
      'Lists what a principal did, itself or through an agent: one row for each thing and action, with how often, how it ended and when; the latest first, at most 1000.',
    access: 'read',
    http: { method: 'GET', path: '/audit/touched/{principal}' },
    input: z.strictObject({ principal: z.string().min(1).max(128).describe('Id of the user, agent or system.') }),
    output: z.object({
      items: z.array(
        z.object({
          resource: z.object({ type: z.string(), id: z.string().optional() }),
          action: z.string().optional(),
          entries: z.int().describe('Entries about it.'),
          succeeded: z.int().describe('Calls that ended well.'),
          failed: z.int().describe('Calls that were refused or failed.'),
          first: z.string(),
          last: z.string(),
          lastIndex: z.int(),
        }),
      ),
    }),
    resource: wholeLog,
    run: async ({ principal }) => ({ items: await log.touched(principal) }),
  })
}

/** Undefined when two filters name different resources: nothing can match both. */
function queryOf({ connection, secret, resource, ...rest }: Filters) {
  const named = [
    resource,
    connection === undefined ? undefined : `connection/${connection}`,
    secret === undefined ? undefined : `secret/${secret}`,
  ].filter((one) => one !== undefined)
  const [wanted] = [...new Set(named)].sort((a, b) => b.length - a.length)
  if (named.some((one) => one !== wanted && !wanted?.startsWith(`${one}/`))) return undefined
  return defined({ ...rest, resource: wanted })
}

/** Drops absent members, which exactOptionalPropertyTypes tells from undefined ones. */
function defined<T extends object>(members: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as never
}
