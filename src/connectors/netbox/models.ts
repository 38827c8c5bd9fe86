import type { z } from 'zod'
import type { Http, Observation, Query } from '../../core/connector.ts'
import * as observe from './observe.ts'
import * as schema from './schema.ts'

/** A page of rows: the id orders them, the observation is what the inventory keeps. */
export type Rows<T> = { readonly count: number | null; readonly next: string | null; readonly results: readonly T[] }

export type Row = { readonly id: number; readonly observation: Observation }

/** One kind of object: where NetBox keeps it and how it is read. */
export type Model = {
  readonly kind: Kind
  /** For a person: `virtual machines`. */
  readonly plural: string
  /** Below `/api` and, for a person's page, below the base URL. */
  readonly path: string
  /** NetBox's own name, as in the changelog: `dcim.device`. */
  readonly type: string
  readonly list: (http: Http, base: string, query: Query) => Promise<Rows<Row>>
  readonly get: (
    http: Http,
    base: string,
    id: string,
  ) => Promise<{ observation: Observation; etag: string | undefined }>
}

export const kinds = ['tenant', 'site', 'rack', 'cluster', 'device', 'virtual-machine', 'prefix', 'ip-address'] as const
export type Kind = (typeof kinds)[number]

/** In the order of a sync: what others refer to comes first. */
export const models: Readonly<Record<Kind, Model>> = {
  tenant: model('tenant', 'tenants', 'tenancy/tenants', 'tenancy.tenant', schema.Tenant, observe.observeTenant),
  site: model('site', 'sites', 'dcim/sites', 'dcim.site', schema.Site, observe.observeSite),
  rack: model('rack', 'racks', 'dcim/racks', 'dcim.rack', schema.Rack, observe.observeRack),
  cluster: model(
    'cluster',
    'clusters',
    'virtualization/clusters',
    'virtualization.cluster',
    schema.Cluster,
    observe.observeCluster,
  ),
  device: model('device', 'devices', 'dcim/devices', 'dcim.device', schema.Device, observe.observeDevice),
  'virtual-machine': model(
    'virtual-machine',
    'virtual machines',
    'virtualization/virtual-machines',
    'virtualization.virtualmachine',
    schema.VirtualMachine,
    observe.observeVirtualMachine,
  ),
  prefix: model('prefix', 'prefixes', 'ipam/prefixes', 'ipam.prefix', schema.Prefix, observe.observePrefix),
  'ip-address': model(
    'ip-address',
    'IP addresses',
    'ipam/ip-addresses',
    'ipam.ipaddress',
    schema.IpAddress,
    observe.observeIpAddress,
  ),
}

function model<T extends { id: number }>(
  kind: Kind,
  plural: string,
  path: string,
  type: string,
  item: z.ZodType<T>,
  observed: (row: T, url: string) => Observation,
): Model {
  const page: z.ZodType<Rows<T>> = schema.Page(item)
  // Rendering the config context of one device costs NetBox more than the rest of the page.
  const lean = kind === 'device' || kind === 'virtual-machine' ? { exclude: 'config_context' } : {}
  const observation = (row: T, base: string) => observed(row, `${base}/${path}/${row.id}/`)
  return {
    kind,
    plural,
    path,
    type,
    async list(http, base, query) {
      const { count, next, results } = await http.get(`/api/${path}/`, page, { ...query, ...lean })
      return { count, next, results: results.map((row) => ({ id: row.id, observation: observation(row, base) })) }
    },
    async get(http, base, id) {
      const { body, headers } = await http.read(`/api/${path}/${id}/`, item, lean)
      return { observation: observation(body, base), etag: headers['etag'] }
    },
  }
}

/** The configured URL without a closing slash. */
export function baseOf(config: unknown): string {
  return (config as { url: string }).url.replace(/\/+$/, '')
}
