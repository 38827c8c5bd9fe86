import { z } from 'zod'

// Only the fields that are read. Everything else is dropped here: above all the provisioning `token` that a list shows while a
// host is being built, and host parameters, which often hold passwords.

const id = z.int().positive()
const text = z.string().nullish().catch(null)
const number = z.number().nullish().catch(null)
const flag = z.boolean().nullish().catch(null)

export const Host = z.object({
  id,
  name: z.string().min(1),
  ip: text,
  ip6: text,
  mac: text,
  sp_ip: text,
  sp_mac: text,
  certname: text,
  uuid: text,
  last_report: text,
  created_at: text,
  updated_at: text,
  installed_at: text,
  domain_name: text,
  architecture_name: text,
  operatingsystem_name: text,
  model_name: text,
  hostgroup_title: text,
  environment_name: text,
  owner_name: text,
  organization_name: text,
  location_name: text,
  subnet_name: text,
  compute_resource_id: number,
  compute_resource_name: text,
  compute_resource_provider: text,
  enabled: flag,
  managed: flag,
  build: flag,
  global_status_label: text,
  configuration_status_label: text,
  build_status_label: text,
  reported_data: z
    .object({ boot_time: text, cores: number, sockets: number, ram: number, disks_total: number, virtual: flag })
    .nullish()
    .catch(null),
})
export type Host = z.output<typeof Host>

/** One host as its own page shows it. */
export const HostDetail = Host.extend({
  comment: text,
  interfaces: z
    .array(z.object({ identifier: text, mac: text, ip: text, ip6: text, fqdn: text, type: text }))
    .nullish()
    .catch(null),
  /** What the signed-in account may do with this host. */
  permissions: z.record(z.string(), z.boolean()).nullish().catch(null),
})
export type HostDetail = z.output<typeof HostDetail>

/** `total` counts everything visible, `subtotal` what the search matches. */
export const Page = <T extends z.ZodType>(item: T) => z.object({ subtotal: z.int().min(0), results: z.array(item) })

/** Without `audited_changes`: they repeat what a host's fields were, parameters included. */
export const Audit = z.object({ id, action: z.string(), auditable_id: id })
export type Audit = z.output<typeof Audit>

export const Status = z.object({ version: z.string().max(40) })

export const CurrentUser = z.object({ login: z.string().max(255), admin: flag })

export const Saved = z.object({ id })
