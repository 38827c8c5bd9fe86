import type { Collection, Json } from './collection.ts'

/** One thing that a model can be filtered by. */
export type Field = {
  readonly type:
    | 'id'
    | 'updated'
    | 'time'
    | 'number'
    | 'text'
    | 'choice'
    | 'relation'
    | 'relationId'
    | 'tag'
    | 'search'
    | 'present'
    | 'since'
    | 'until'
    | 'exact'
  readonly of: (row: Json) => unknown
  /** For relations: the collection whose slugs are the choices. */
  readonly target?: string
  readonly choices?: readonly string[]
}

const get = (key: string) => (row: Json) => row[key]
const inside = (key: string, inner: string) => (row: Json) => (row[key] as Json | null | undefined)?.[inner]
const text = (key: string): Field => ({ type: 'text', of: get(key) })
const number = (key: string): Field => ({ type: 'number', of: get(key) })
const relation = (key: string, target?: string): Record<string, Field> => ({
  [key]: { type: 'relation', of: inside(key, 'slug'), ...(target && { target }) },
  [`${key}_id`]: { type: 'relationId', of: inside(key, 'id') },
})

const common: Readonly<Record<string, Field>> = {
  id: { type: 'id', of: get('id') },
  last_updated: { type: 'updated', of: get('last_updated') },
  created: { type: 'time', of: get('created') },
  tag: { type: 'tag', of: get('tags') },
  description: text('description'),
  q: { type: 'search', of: (row) => row },
  ...relation('tenant', 'tenancy/tenants'),
}
const status = (...choices: readonly string[]): Record<string, Field> => ({
  status: { type: 'choice', of: inside('status', 'value'), choices },
})
const machine = {
  name: text('name'),
  serial: text('serial'),
  ...relation('site', 'dcim/sites'),
  ...relation('role'),
  ...relation('platform'),
  cluster_id: { type: 'relationId', of: inside('cluster', 'id') },
  has_primary_ip: { type: 'present', of: get('primary_ip') },
} as const satisfies Record<string, Field>
const slugged = { name: text('name'), slug: text('slug') }

/** The status words of a model, or undefined when it has no status. */
export function choicesOf(type: string, field: string): readonly string[] | undefined {
  return fields[type]?.[field]?.choices
}

const fields: Readonly<Record<string, Readonly<Record<string, Field>>>> = {
  'dcim.device': {
    ...machine,
    asset_tag: text('asset_tag'),
    position: number('position'),
    rack_id: { type: 'relationId', of: inside('rack', 'id') },
    device_type_id: { type: 'relationId', of: inside('device_type', 'id') },
    manufacturer: {
      type: 'relation',
      of: (row) => ((row['device_type'] as Json | null)?.['manufacturer'] as Json | null)?.['slug'],
    },
    ...status('offline', 'active', 'planned', 'staged', 'failed', 'inventory', 'decommissioning'),
  },
  'virtualization.virtualmachine': {
    ...machine,
    vcpus: number('vcpus'),
    memory: number('memory'),
    disk: number('disk'),
    device_id: { type: 'relationId', of: inside('device', 'id') },
    ...status('offline', 'active', 'planned', 'staged', 'failed', 'decommissioning', 'paused'),
  },
  'ipam.ipaddress': {
    address: { type: 'exact', of: get('address') },
    dns_name: text('dns_name'),
    family: { type: 'exact', of: inside('family', 'value') },
    vrf_id: { type: 'relationId', of: inside('vrf', 'id') },
    device_id: {
      type: 'relationId',
      of: (row) => ((row['assigned_object'] as Json | null)?.['device'] as Json | null)?.['id'],
    },
    virtual_machine_id: {
      type: 'relationId',
      of: (row) => ((row['assigned_object'] as Json | null)?.['virtual_machine'] as Json | null)?.['id'],
    },
    ...status('active', 'reserved', 'deprecated', 'dhcp', 'slaac'),
  },
  'ipam.prefix': {
    prefix: { type: 'exact', of: get('prefix') },
    ...relation('site', 'dcim/sites'),
    family: { type: 'exact', of: inside('family', 'value') },
    vrf_id: { type: 'relationId', of: inside('vrf', 'id') },
    ...status('container', 'active', 'reserved', 'deprecated'),
  },
  'dcim.site': {
    ...slugged,
    facility: text('facility'),
    ...relation('region'),
    ...status('planned', 'staging', 'active', 'decommissioning', 'retired'),
  },
  'dcim.rack': {
    name: text('name'),
    serial: text('serial'),
    ...relation('site', 'dcim/sites'),
    ...status('reserved', 'available', 'planned', 'active', 'deprecated'),
  },
  'virtualization.cluster': {
    name: text('name'),
    ...relation('type'),
    ...relation('group'),
    ...status('planned', 'staging', 'active', 'decommissioning', 'offline'),
  },
  'core.objectchange': {
    id: { type: 'id', of: get('id') },
    q: { type: 'search', of: (row) => row },
    time_after: { type: 'since', of: get('time') },
    time_before: { type: 'until', of: get('time') },
    action: { type: 'choice', of: inside('action', 'value'), choices: ['create', 'update', 'delete'] },
    changed_object_type: { type: 'exact', of: get('changed_object_type') },
    changed_object_id: { type: 'number', of: get('changed_object_id') },
    user_name: text('user_name'),
    request_id: { type: 'exact', of: get('request_id') },
  },
  'extras.journalentry': {
    assigned_object_id: number('assigned_object_id'),
    kind: { type: 'choice', of: inside('kind', 'value'), choices: ['info', 'success', 'warning', 'danger'] },
  },
}

/** The filter of this name, or undefined: NetBox then ignores it. */
export function fieldOf({ type }: Collection, name: string): Field | undefined {
  const own: Readonly<Record<string, Field>> = fields[type] ?? slugged
  if (Object.hasOwn(own, name)) return own[name]
  if (type === 'core.objectchange') return undefined
  if (Object.hasOwn(common, name)) return common[name]
  return name.startsWith('cf_')
    ? { type: 'exact', of: (row) => (row['custom_fields'] as Json | undefined)?.[name.slice(3)] }
    : undefined
}
