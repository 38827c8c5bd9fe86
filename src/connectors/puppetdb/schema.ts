import { z } from 'zod'

// Rows hold only what the queries ask for by name (`extract`); nothing else of a node is ever sent.

const text = z.string().nullish().catch(null)
const flag = z.boolean().nullish().catch(null)
const certname = z.string().min(1).max(500)

export const Version = z.object({ version: z.string().max(40) })
export const ServerTime = z.object({ server_time: z.iso.datetime({ offset: true }) })

export const Node = z.object({
  certname,
  facts_timestamp: text,
  report_timestamp: text,
  catalog_environment: text,
  facts_environment: text,
  report_environment: text,
  latest_report_status: text,
  latest_report_noop: flag,
  cached_catalog_status: text,
})
export type Node = z.output<typeof Node>
export const Nodes = z.array(Node)

/** A node that was deactivated or has expired. */
export const Inactive = z.array(z.object({ certname, deactivated: text, expired: text }))

/** `facts.<path>` as asked for; a fact that a node does not have is null. */
export const Inventory = z.array(z.looseObject({ certname }))
export type Inventory = z.output<typeof Inventory>

export const Facts = z.array(z.object({ name: z.string(), value: z.unknown() }))

export const Report = z.object({
  hash: z.string().max(100),
  certname,
  status: text,
  noop: flag,
  environment: text,
  puppet_version: text,
  start_time: text,
  end_time: text,
  receive_time: text,
})
export const Reports = z.array(Report)

export const Names = z.array(z.object({ certname }))
