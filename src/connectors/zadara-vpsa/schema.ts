import { z } from 'zod'

// Only the fields we use. What identifies a thing is strict, because ids go into paths; what describes it may be missing or of
// another type and is then left out. CHAP users, CHAP secrets and passwords are in no schema, so they end here.

const text = z.string().max(500).nullish().catch(null)
/** Sizes come as numbers, and in some versions as text. */
const amount = z.union([z.number(), z.string().regex(/^\d+(?:\.\d+)?$/)]).transform(Number)
const number = amount.nullish().catch(null)
/** `2026-03-02 10:11:12 UTC`, or ISO 8601; anything else says nothing. */
const time = z
  .string()
  .regex(/^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?(?: ?UTC|Z|\+00:00)?$/)
  .transform((value) => new Date(`${value.slice(0, 10)}T${value.slice(11, 19)}Z`))
  .refine((at) => !Number.isNaN(at.getTime()))
  .transform((at) => at.toISOString())
  .nullish()
  .catch(null)

export const idOf = {
  volume: /^volume-[0-9a-f]{1,16}$/,
  pool: /^pool-[0-9a-f]{1,16}$/,
  server: /^srv-[0-9a-f]{1,16}$/,
  snapshot: /^snap-[0-9a-f]{1,16}$/,
  controller: /^vsa-[0-9a-f]{1,16}-vc-\d{1,3}$/,
} as const

/** The VPSA's own id of a thing; sync only shows it, and so takes any plain word. */
const name = z.string().regex(/^[\w.:-]{1,120}$/)
const refer = name.nullish().catch(null)

export const Volume = z.object({
  name,
  display_name: text,
  cg_name: z
    .string()
    .regex(/^cg-[0-9a-f]{1,16}$/)
    .nullish()
    .catch(null),
  status: text,
  data_type: text,
  virtual_capacity: number,
  allocated_capacity: number,
  provisioned_capacity: number,
  pool_name: refer,
  pool_display_name: text,
  thin: text,
  encryption: text,
  access_type: text,
  has_snapshots: text,
  server_ext_names: text,
  export_name: text,
  nfs_export_path: text,
  created_at: time,
  modified_at: time,
})
export type Volume = z.output<typeof Volume>

export const Pool = z.object({
  name,
  display_name: text,
  status: text,
  type: text,
  cache: text,
  capacity: number,
  available_capacity: number,
  provisioned_capacity: number,
})
export type Pool = z.output<typeof Pool>

export const Server = z.object({
  name,
  display_name: text,
  status: text,
  os: text,
  iqn: text,
  iscsi_ip: text,
  ipsec_iscsi: text,
})
export type Server = z.output<typeof Server>

export const Snapshot = z.object({
  name,
  display_name: text,
  status: text,
  volume_ext_name: refer,
  volume_display_name: text,
  volume_capacity_mb: number,
  pool_name: refer,
  created_at: time,
})
export type Snapshot = z.output<typeof Snapshot>

export const Controller = z.object({
  name,
  display_name: text,
  state: text,
  target: text,
  iscsi_ip: text,
  iscsi_ipv6: text,
  mgmt_ip: text,
  software_ver: text,
})
export type Controller = z.output<typeof Controller>

/** Drives are called drives in paths and `disks` in answers. */
export const Disk = z.object({
  name,
  display_name: text,
  status: text,
  capacity: number,
  type: text,
  raid_group_name: refer,
})
export type Disk = z.output<typeof Disk>

/** One measurement. The names of its figures differ by version and thing, so every plain number is kept under its own name. */
export const Usage = z.record(z.string(), z.unknown()).transform((row) => ({
  at: time.parse(row['time']) ?? null,
  figures: Object.fromEntries(
    Object.entries(row).filter(
      (entry): entry is [string, number] => typeof entry[1] === 'number' && /^[a-z]\w{0,59}$/i.test(entry[0]),
    ),
  ),
}))

const count = z.int().nonnegative().nullish().catch(null)
const ok = z.union([z.literal(0), z.literal('0')])
const Envelope = z.object({ response: z.looseObject({ status: ok }) })

/** `{"response":{"status":0,"count":2,"<key>":[…]}}`. An empty list may be missing. */
export const ListOf = <T extends z.ZodType>(key: string, item: T) =>
  z.preprocess(
    (body) => {
      const { response } = Envelope.safeParse(body).data ?? {}
      return response && { count: response['count'], rows: response[key] ?? [] }
    },
    z.object({ count, rows: z.array(item) }),
  )

/** `{"response":{"status":0,"<key>":{…}}}` */
export const OneOf = <T extends z.ZodType>(key: string, item: T) =>
  z.preprocess((body) => Envelope.safeParse(body).data?.response[key], item)

/** A write that was carried out. */
export const Done = z.object({ response: z.object({ status: ok }) })
