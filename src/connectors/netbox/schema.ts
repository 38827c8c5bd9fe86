import { z } from 'zod'

// Only the fields we use; NetBox adds and renames others in every release. What identifies or places an object is strict;
// what only describes it may be missing or of another type, and is then left out.

const text = z.string().nullish().catch(null)
const number = z.number().nullish().catch(null)
const id = z.int().positive()

const Ref = z.object({ id, name: text, display: text, slug: text }).nullish()
const Choice = z.object({ value: z.union([z.string(), z.number()]) }).nullish()
const Named = z.object({ name: text }).nullish().catch(null)
const Tags = z
  .array(z.object({ name: z.string() }))
  .nullish()
  .catch(null)
const Address = z.object({ id, address: z.string() }).nullish()
/** `scope` took the place of `site` in 4.2. */
const scope = { site: Ref, scope_type: text, scope: Ref }
const common = { id, display: text, description: text, tags: Tags, tenant: Ref, last_updated: text }

export type Ref = z.output<typeof Ref>
export type Choice = z.output<typeof Choice>
export type Common = z.output<z.ZodObject<typeof common>>

export const Device = z.object({
  ...common,
  name: text,
  device_type: z.object({ model: text, manufacturer: Named }).nullish().catch(null),
  role: Named,
  /** The name of `role` before 4.0. */
  device_role: Named,
  platform: Named,
  serial: text,
  asset_tag: text,
  site: Ref,
  location: Named,
  rack: Ref,
  position: number,
  face: Choice.catch(null),
  parent_device: Ref,
  status: Choice,
  primary_ip4: Address,
  primary_ip6: Address,
  oob_ip: Address,
  cluster: Ref,
  virtual_chassis: Named,
})
export type Device = z.output<typeof Device>

export const VirtualMachine = z.object({
  ...common,
  name: text,
  status: Choice,
  site: Ref,
  cluster: Ref,
  device: Ref,
  role: Named,
  platform: Named,
  serial: text,
  primary_ip4: Address,
  primary_ip6: Address,
  vcpus: number,
  memory: number,
  disk: number,
})
export type VirtualMachine = z.output<typeof VirtualMachine>

export const IpAddress = z.object({
  ...common,
  address: z.string(),
  family: Choice.catch(null),
  vrf: Named,
  status: Choice,
  role: Choice.catch(null),
  assigned_object: z.object({ name: text, device: Ref, virtual_machine: Ref }).nullish().catch(null),
  nat_inside: Address,
  dns_name: text,
})
export type IpAddress = z.output<typeof IpAddress>

export const Prefix = z.object({
  ...common,
  ...scope,
  prefix: z.string(),
  family: Choice.catch(null),
  vrf: Named,
  vlan: z.object({ vid: number, name: text }).nullish().catch(null),
  status: Choice,
  role: Named,
  is_pool: z.boolean().nullish().catch(null),
})
export type Prefix = z.output<typeof Prefix>

export const Site = z.object({
  ...common,
  name: text,
  slug: text,
  status: Choice,
  region: Named,
  group: Named,
  facility: text,
  time_zone: text,
  physical_address: text,
})
export type Site = z.output<typeof Site>

export const Rack = z.object({
  ...common,
  name: text,
  site: Ref,
  location: Named,
  status: Choice,
  role: Named,
  serial: text,
  asset_tag: text,
  u_height: number,
})
export type Rack = z.output<typeof Rack>

export const Cluster = z.object({ ...common, ...scope, name: text, type: Named, group: Named, status: Choice })
export type Cluster = z.output<typeof Cluster>

export const Tenant = z.object({ ...common, name: text, slug: text, group: Named })
export type Tenant = z.output<typeof Tenant>

/** A row of the changelog: what was deleted, and when. */
export const Change = z.object({ id, time: z.iso.datetime({ offset: true }), changed_object_id: id })

/** https://netboxlabs.com/docs/netbox/integrations/rest-api/ "Pagination": `count` is null in cursor mode. */
export const Page = <T extends z.ZodType>(item: T) =>
  z.object({ count: z.int().nullable(), next: z.string().nullable(), results: z.array(item) })

export const Status = z.object({ 'netbox-version': z.string().max(40) })

export const CurrentUser = z.object({
  id,
  username: z.string().max(200),
  is_superuser: z.boolean().nullish().catch(null),
  permissions: z
    .array(z.object({ actions: z.array(z.string()).nullish().catch(null) }))
    .nullish()
    .catch(null),
})

export const Token = z.object({
  id,
  enabled: z.boolean().nullish().catch(null),
  write_enabled: z.boolean().nullish().catch(null),
  expires: text,
})

export const Created = z.object({ id })
