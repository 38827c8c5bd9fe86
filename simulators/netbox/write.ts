import { json, type Reply } from '../lib/server.ts'
import type { Change, Changelog } from './changelog.ts'
import type { Collection, Json } from './collection.ts'
import { choicesOf } from './fields.ts'
import { choice, family } from './words.ts'

/** The row as written, or the answer that says why not. */
export type Written = { readonly row: Json } | { readonly reply: Reply }

export type Author = Pick<Change, 'user' | 'requestId'>

type Parts = {
  readonly now: () => Date
  readonly origin: string
  readonly changelog: Changelog
  readonly lookup: (path: string) => Collection | undefined
  readonly changed: (change: Change) => void
}

/** Creates, updates and deletes: each moves `last_updated`, writes the changelog and tells the webhook. */
export function makeWrites({ now, origin, changelog, lookup, changed }: Parts) {
  const note = (change: Change) => {
    changelog.record(change)
    changed(change)
  }
  const stamp = () => now().toISOString().replace('Z', '000Z')

  function update(collection: Collection, id: number, values: Json, author: Author, message?: string): Json {
    const before = collection.row(id) as Json
    const after = { ...before, ...values, last_updated: stamp() }
    collection.put(id, after)
    note({ action: 'update', collection, id, before, after, ...author, ...(message && { message }) })
    return after
  }
  function create(collection: Collection, values: Json, author: Author): Json {
    const after = collection.insert((id) => ({
      id,
      url: `${origin}/api/${collection.path}/${id}/`,
      display_url: `${origin}/${collection.path}/${id}/`,
      display: String(values['name'] ?? values['address'] ?? values['prefix'] ?? `${collection.type} (${id})`),
      ...blank[collection.type],
      ...values,
      created: stamp(),
      last_updated: stamp(),
    }))
    note({ action: 'create', collection, id: after['id'] as number, before: null, after, ...author })
    return after
  }
  function remove(collection: Collection, id: number, author: Author): void {
    const before = collection.row(id) as Json
    collection.remove(id)
    note({ action: 'delete', collection, id, before, after: null, ...author })
  }

  return {
    update,
    create,
    remove,
    patch(collection: Collection, id: number, body: Json, author: Author): Written {
      const { values, faults } = readBody(collection, body, lookup)
      if (faults) return { reply: json(400, faults) }
      return { row: update(collection, id, values, author, text(body['changelog_message'])) }
    },
    post(collection: Collection, body: Json, author: Author): Written {
      const missing = (required[collection.type] ?? ['name']).filter((name) => body[name] === undefined)
      if (missing.length > 0)
        return { reply: json(400, Object.fromEntries(missing.map((name) => [name, ['This field is required.']]))) }
      const { values, faults } = readBody(collection, body, lookup)
      return faults ? { reply: json(400, faults) } : { row: create(collection, values, author) }
    },
    erase(collection: Collection, id: number, author: Author): Reply {
      const dependents = dependentsOf(collection, id, lookup)
      if (dependents.length > 0) {
        const shown = dependents.slice(0, 5).join(', ')
        return json(409, {
          detail: `Unable to delete object. ${dependents.length} dependent objects were found: ${shown}`,
        })
      }
      remove(collection, id, author)
      return { status: 204 }
    },
  }
}

const required: Readonly<Record<string, readonly string[]>> = {
  'dcim.device': ['device_type', 'role', 'site'],
  'dcim.rack': ['name', 'site'],
  'dcim.site': ['name', 'slug'],
  'tenancy.tenant': ['name', 'slug'],
  'virtualization.cluster': ['name', 'type'],
  'ipam.ipaddress': ['address'],
  'ipam.prefix': ['prefix'],
  'extras.journalentry': ['assigned_object_type', 'assigned_object_id', 'comments'],
}

const machine: Json = {
  serial: '',
  status: choice('active'),
  tenant: null,
  platform: null,
  primary_ip: null,
  primary_ip4: null,
  primary_ip6: null,
  tags: [],
  custom_fields: {},
}
const blank: Readonly<Record<string, Json>> = {
  'dcim.device': {
    name: null,
    ...machine,
    rack: null,
    oob_ip: null,
    cluster: null,
    asset_tag: null,
    parent_device: null,
  },
  'virtualization.virtualmachine': {
    ...machine,
    site: null,
    cluster: null,
    device: null,
    vcpus: null,
    memory: null,
    disk: null,
  },
  'ipam.ipaddress': {
    status: choice('active'),
    vrf: null,
    tenant: null,
    role: null,
    assigned_object: null,
    dns_name: '',
    tags: [],
  },
  'ipam.prefix': {
    status: choice('active'),
    vrf: null,
    tenant: null,
    vlan: null,
    scope_type: null,
    scope: null,
    tags: [],
  },
  'extras.journalentry': { kind: choice('info'), tags: [], custom_fields: {} },
}

/** Fields that hold another object, and where it is. */
const relations: Readonly<Record<string, string>> = {
  site: 'dcim/sites',
  rack: 'dcim/racks',
  tenant: 'tenancy/tenants',
  cluster: 'virtualization/clusters',
  device: 'dcim/devices',
  parent_device: 'dcim/devices',
  role: 'dcim/device-roles',
  platform: 'dcim/platforms',
  device_type: 'dcim/device-types',
  primary_ip4: 'ipam/ip-addresses',
  primary_ip6: 'ipam/ip-addresses',
  oob_ip: 'ipam/ip-addresses',
}
const plainFields = new Set([
  'name',
  'slug',
  'serial',
  'asset_tag',
  'description',
  'comments',
  'position',
  'vcpus',
  'memory',
  'disk',
  'dns_name',
  'facility',
  'address',
  'prefix',
  'assigned_object_type',
  'assigned_object_id',
  'custom_fields',
])

/** The values that a write sets. Unknown fields are ignored, as NetBox does. */
function readBody({ type }: Collection, body: Json, lookup: Parts['lookup']) {
  const values: Json = {}
  const faults: Record<string, string[]> = {}
  for (const [name, value] of Object.entries(body)) {
    const choices = choicesOf(type, name)
    const target = relations[name]
    if (choices) {
      if (choices.includes(String(value))) values[name] = choice(String(value))
      else faults[name] = [`"${String(value)}" is not a valid choice.`]
    } else if (target !== undefined && value !== null) {
      const found = relatedOf(lookup(target), target, value)
      if (found) values[name] = found
      else faults[name] = [`Related object not found using the provided numeric ID: ${String(value)}`]
    } else if (target !== undefined || plainFields.has(name)) {
      values[name] = value
    }
    if (name === 'address' && typeof value === 'string') values['family'] = family(value)
    if (name === 'name' && typeof value !== 'string' && value !== null) faults[name] = ['Not a valid string.']
  }
  if (typeof values['name'] === 'string') values['display'] = values['name']
  return { values, faults: Object.keys(faults).length > 0 ? faults : undefined }
}

function relatedOf(collection: Collection | undefined, path: string, value: unknown): Json | undefined {
  if (typeof value !== 'number') return undefined
  if (!collection) return { id: value, display: `${path} ${value}` }
  const row = collection.row(value)
  return (
    row &&
    Object.fromEntries(
      ['id', 'url', 'display', 'name', 'slug', 'address'].flatMap((key) => (key in row ? [[key, row[key]]] : [])),
    )
  )
}

const protectedBy: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  'dcim.site': [
    ['dcim/devices', 'site'],
    ['dcim/racks', 'site'],
    ['virtualization/virtual-machines', 'site'],
  ],
  'dcim.rack': [['dcim/devices', 'rack']],
  'virtualization.cluster': [['virtualization/virtual-machines', 'cluster']],
  'tenancy.tenant': [
    ['dcim/devices', 'tenant'],
    ['dcim/sites', 'tenant'],
    ['virtualization/virtual-machines', 'tenant'],
  ],
}

function dependentsOf({ type }: Collection, id: number, lookup: Parts['lookup']): string[] {
  return (protectedBy[type] ?? []).flatMap(([path, field]) => {
    const others = lookup(path)
    if (!others) return []
    const rows = others.ids.map((other) => others.row(other) as Json)
    return rows
      .filter((row) => (row[field] as Json | null)?.['id'] === id)
      .map((row) => `${String(row['display'])} (${String(row['id'])})`)
  })
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
