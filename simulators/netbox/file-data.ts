import { readFileSync } from 'node:fs'
import { type Collection, type Json, makeCollection } from './collection.ts'

/**
 * Collections from a file: `{ "collections": { "dcim/devices": [ {id, …}, … ], … } }`, rows as in the REST API 4.x with
 * `url`s that begin with `/api/`. What the file leaves out of a row is left out of the answers too.
 */
export function fileCollections(file: string, origin: string): Collection[] {
  const text = readFileSync(file, 'utf8').replaceAll('"url":"/api/', `"url":"${origin}/api/`)
  const { collections } = JSON.parse(text) as {
    collections: Readonly<Record<string, readonly (Json & { id: number })[]>>
  }
  return Object.entries(collections).map(([path, rows]) => {
    const byId = new Map(rows.map((row) => [row.id, row]))
    return makeCollection({
      path,
      type: types[path] ?? path.replace('/', '.').replace(/s$/, ''),
      ids: [...byId.keys()].sort((a, b) => a - b),
      make: (id) => byId.get(id) as Json,
    })
  })
}

const types: Readonly<Record<string, string>> = {
  'tenancy/tenants': 'tenancy.tenant',
  'dcim/sites': 'dcim.site',
  'dcim/racks': 'dcim.rack',
  'dcim/devices': 'dcim.device',
  'dcim/manufacturers': 'dcim.manufacturer',
  'virtualization/clusters': 'virtualization.cluster',
  'virtualization/virtual-machines': 'virtualization.virtualmachine',
  'ipam/prefixes': 'ipam.prefix',
  'ipam/ip-addresses': 'ipam.ipaddress',
}
