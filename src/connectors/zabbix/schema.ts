import { z } from 'zod'

// Zabbix's JSON, only the fields that are read. Numbers come as strings, sometimes as numbers; an empty object as `[]`.

const Id = z.union([z.string().regex(/^\d{1,20}$/), z.int().nonnegative().transform(String)])
const Whole = z.union([
  z
    .string()
    .regex(/^-?\d{1,12}$/)
    .transform(Number),
  z.int(),
])
const Flag = Whole.transform((value) => value === 1)
/** Seconds since 1970. */
const Clock = Whole.transform((seconds) => new Date(seconds * 1000).toISOString())
const text = z.string().nullish().catch(null)

export const Ids = (name: string) =>
  z.array(z.object({ [name]: Id })).transform((rows) => rows.map((row) => String(row[name])))
export const Count = Whole

const Tags = z.array(z.object({ tag: z.string(), value: z.string() })).default([])
const Group = z.object({ groupid: Id, name: z.string() })

export const HostGroup = z.object({ groupid: Id, name: z.string(), hosts: Whole.optional() })
export type HostGroup = z.output<typeof HostGroup>

/** Its fields are the ones that are asked for. */
export const Interface = z.object({
  type: Whole,
  ip: z.string(),
  dns: z.string(),
  /** 0 unknown, 1 available, 2 not. */
  available: Whole.optional(),
})

/** Its fields are the ones that are asked for. */
export const Inventory = z.object({
  type: text,
  os: text,
  serialno_a: text,
  asset_tag: text,
  macaddress_a: text,
  macaddress_b: text,
  model: text,
  vendor: text,
  location: text,
})

export const Host = z.object({
  hostid: Id,
  /** The technical name, which agents report under. */
  host: z.string(),
  /** The visible name. */
  name: z.string(),
  status: Whole,
  flags: Whole.optional(),
  maintenance_status: Flag.optional(),
  /** Before 6.2. */
  groups: z.array(Group).optional(),
  hostgroups: z.array(Group).optional(),
  interfaces: z.array(Interface).default([]),
  inventory: z.union([z.array(z.never()).transform((): undefined => undefined), Inventory]).optional(),
  tags: Tags,
})
export type Host = z.output<typeof Host>

export const Trigger = z.object({
  triggerid: Id,
  description: z.string(),
  priority: Whole,
  value: Whole,
  lastchange: Clock,
  hosts: z.array(z.object({ hostid: Id, name: z.string() })).default([]),
})
export type Trigger = z.output<typeof Trigger>

export const ProblemRow = z.object({
  eventid: Id,
  objectid: Id,
  clock: Clock,
  name: z.string(),
  acknowledged: Flag,
  suppressed: Flag.optional(),
  severity: Whole,
  tags: Tags,
})
export type ProblemRow = z.output<typeof ProblemRow>

/** What the session or token stands for. Zabbix answers the session's id with it, which is not read. */
export const Account = z.object({ username: z.string().max(200), roleid: Id, type: Whole })

/** `api.mode`: 0 the listed methods are denied, 1 only they are allowed. */
export const Role = z.object({
  rules: z.object({ 'api.mode': Flag, api: z.array(z.string()).default([]) }),
})

export const Acknowledged = z.object({ eventids: z.array(Id) })

export const Maintenance = z.object({
  maintenanceid: Id,
  active_since: Clock,
  active_till: Clock,
  hosts: z.array(z.object({ hostid: Id })).default([]),
})
export const MaintenanceCreated = z.object({ maintenanceids: z.array(Id).length(1) })
