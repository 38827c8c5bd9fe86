import type { Device, Estate } from '../lib/estate.ts'
import type { Model } from '../lib/estate-words.ts'
import type { Json } from './collection.ts'
import { deviceTypes, family, manufacturers, slugOf } from './words.ts'

export type Refs = ReturnType<typeof makeRefs>

/**
 * The short forms of objects that stand inside others. Those that many rows share are made once: most of the time of a page
 * would otherwise go into them. `isComplete`: no device was left without a name.
 */
export function makeRefs(estate: Estate, origin: string, isComplete = false) {
  const made = new Map<string, Json>()
  const once = (path: string, id: number, make: () => Json) => {
    const key = `${path}/${id}`
    const known = made.get(key)
    if (known) return known
    const fresh = make()
    made.set(key, fresh)
    return fresh
  }
  const ref = (path: string, id: number, name: string, more: Json = {}): Json => ({
    id,
    url: `${origin}/api/${path}/${id}/`,
    display: name,
    ...more,
  })
  const named = (path: string, id: number, name: string) =>
    once(path, id, () => ref(path, id, name, { name, slug: slugOf(name), description: '' }))
  const deviceName = (index: number, { role, hostName }: Device) =>
    !isComplete && role === 'pdu' && Math.floor(index / 24) % 3 === 2 ? null : hostName
  const deviceLabel = (index: number, device: Device) =>
    deviceName(index, device) ?? `${device.model.manufacturer} ${device.model.name} (${index + 1})`
  return {
    ref,
    named,
    /** One of a fixed list; its place in the list is its id. */
    listed: (path: string, names: readonly string[], name: string) => named(path, names.indexOf(name) + 1, name),
    site: (index: number) =>
      once('dcim/sites', index + 1, () => {
        const { code } = estate.site(index)
        const name = code.toUpperCase()
        return ref('dcim/sites', index + 1, name, { name, slug: code, description: '' })
      }),
    rack: (index: number) =>
      once('dcim/racks', index + 1, () => {
        const { name } = estate.rack(index)
        return ref('dcim/racks', index + 1, name, { name, description: '' })
      }),
    tenant: (index: number) => named('tenancy/tenants', index + 1, estate.tenant(index).name),
    cluster: (index: number) =>
      once('virtualization/clusters', index + 1, () => {
        const { name } = estate.cluster(index)
        return ref('virtualization/clusters', index + 1, name, { name, description: '' })
      }),
    address: (id: number, address: string): Json => ({
      id,
      url: `${origin}/api/ipam/ip-addresses/${id}/`,
      display: address,
      family: family(address),
      address,
      description: '',
    }),
    deviceType: ({ name, manufacturer }: Model) =>
      once('dcim/device-types', deviceTypes.indexOf(name) + 1, () => ({
        ...ref('dcim/device-types', deviceTypes.indexOf(name) + 1, name),
        manufacturer: named('dcim/manufacturers', manufacturers.indexOf(manufacturer) + 1, manufacturer),
        model: name,
        slug: slugOf(name),
        description: '',
      })),
    deviceName,
    deviceLabel,
    device: (index: number): Json => {
      const device = estate.device(index)
      return {
        id: index + 1,
        url: `${origin}/api/dcim/devices/${index + 1}/`,
        display: deviceLabel(index, device),
        name: deviceName(index, device),
        description: '',
      }
    },
    vm: (index: number): Json => {
      const { hostName } = estate.vm(index)
      return {
        id: index + 1,
        url: `${origin}/api/virtualization/virtual-machines/${index + 1}/`,
        display: hostName,
        name: hostName,
        description: '',
      }
    },
  }
}
