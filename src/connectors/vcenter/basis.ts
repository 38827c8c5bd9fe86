import type { Attribute, Observation } from '../../core/connector.ts'
import { kinds } from './models.ts'
import type { Found } from './properties.ts'
import type { Service } from './service.ts'
import { type Placement, placeIn, plainName, type Tree } from './tree.ts'

/** What observations are made with, beside the thing itself. */
export type Scene = {
  readonly service: Service
  /** The connection's address, for pages that people open. */
  readonly base: string
  readonly tree: Tree
  /** The last time that each virtual machine was switched off, where the events still know. */
  readonly offSince: ReadonlyMap<string, string>
}

/** What all things have; `placement` is where the thing's parent is. */
export function basisOf(scene: Scene, found: Found) {
  const { ref } = found
  const placement = placeIn(scene.tree, textOf(found, 'parent'))
  const url = pageOf(scene, found)
  return {
    kind: kinds[ref.type] ?? 'virtual-machine',
    externalId: ref.id,
    name: plainName(textOf(found, 'name')) ?? ref.id,
    ...(placement.datacenter && { site: placement.datacenter.name }),
    ...(url !== undefined && { url }),
    placement,
  }
}

export function placed({ datacenter, cluster, folder }: Placement): Record<string, Attribute> {
  return {
    ...(datacenter && { datacenter: datacenter.name }),
    ...(cluster && { cluster: cluster.name }),
    ...(folder !== undefined && { folder }),
  }
}

export function relationsOf({ datacenter, cluster }: Placement): NonNullable<Observation['relations']> {
  return [
    ...(cluster ? [{ type: 'member-of', kind: 'cluster', externalId: cluster.id }] : []),
    ...(datacenter ? [{ type: 'located-in', kind: 'datacenter', externalId: datacenter.id }] : []),
  ]
}

export function textOf({ properties }: Found, path: string): string | undefined {
  return properties.get(path)?.text || undefined
}

const pages: Readonly<Record<string, string>> = {
  VirtualMachine: 'vm;nav=v',
  HostSystem: 'host;nav=h',
  ClusterComputeResource: 'cluster;nav=h',
  Datastore: 'datastore;nav=s',
}

/** The page in the vSphere Client 7 and 8. */
function pageOf({ service, base }: Scene, { ref }: Found): string | undefined {
  const page = pages[ref.type]
  if (page === undefined || !service.isVirtualCenter || service.instanceUuid === undefined) return undefined
  const urn = `urn:vmomi:${ref.type}:${encodeURIComponent(ref.id)}:${encodeURIComponent(service.instanceUuid)}`
  return `${base}/ui/app/${page}/${urn}/summary`
}
