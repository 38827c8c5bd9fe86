import type { Found, Wanted } from './properties.ts'

/** The things that others are in, by id: folders, datacenters, clusters, hosts, pools. */
export type Tree = ReadonlyMap<string, Place>
export type Places = Map<string, Place>
type Place = { readonly type: string; readonly id: string; readonly name: string; readonly parent: string | undefined }

/** What a tree is made from; small beside the virtual machines. */
export const treeProperties: Wanted = {
  Folder: ['name', 'parent'],
  Datacenter: ['name', 'parent'],
  ComputeResource: ['name', 'parent'],
  HostSystem: ['name', 'parent'],
  ResourcePool: ['name', 'parent'],
}

export function addPlaces(tree: Places, found: readonly Found[]): void {
  for (const { ref, properties } of found) {
    const name = plainName(properties.get('name')?.text) ?? ref.id
    tree.set(ref.id, { ...ref, name, parent: properties.get('parent')?.text || undefined })
  }
}

export type Placement = {
  readonly datacenter?: Place
  readonly cluster?: Place
  /** From the datacenter down, for example `Web/Shops`. */
  readonly folder?: string
}

/** Where a thing is that lies in `parent`. */
export function placeIn(tree: Tree, parent: string | undefined): Placement {
  const above = [...upwards(tree, parent)]
  const datacenter = above.find(({ type }) => type === 'Datacenter')
  const cluster = above.find(({ type }) => type === 'ClusterComputeResource')
  // A datacenter's own folders (vm, host, datastore, network) are not shown to people.
  const folders = above.filter((place) => place.type === 'Folder' && place.parent !== datacenter?.id)
  const inside = datacenter ? folders.filter((folder) => above.indexOf(folder) < above.indexOf(datacenter)) : []
  const folder = inside
    .map(({ name }) => name)
    .reverse()
    .join('/')
  return { ...(datacenter && { datacenter }), ...(cluster && { cluster }), ...(folder !== '' && { folder }) }
}

/** Whether a resource pool in `parent` is the one that every host and cluster has for itself. */
export function isOwnPool(tree: Tree, parent: string | undefined): boolean {
  return tree.get(parent ?? '')?.type.endsWith('ComputeResource') === true
}

function* upwards(tree: Tree, from: string | undefined): Generator<Place> {
  const seen = new Set<string>()
  for (let id = from; id !== undefined && !seen.has(id); ) {
    seen.add(id)
    const place = tree.get(id)
    if (!place) return
    yield place
    id = place.parent
  }
}

/** vCenter keeps three characters of a name encoded. */
export function plainName(name: string | undefined): string | undefined {
  return name?.replace(/%(2f|5c|25)/gi, (code) => decodeURIComponent(code)) || undefined
}
