import type { Estate } from '../lib/estate.ts'

/** How many addresses the estate has. */
export function addressCount({ counts }: Estate): number {
  return counts.devices + counts.oob + counts.vms + counts.vms6
}

/** Addresses in the order: of devices, out of band, of virtual machines, IPv6 of every tenth of those. */
export function addressAt(estate: Estate, index: number) {
  const { devices, oob, vms } = estate.counts
  if (index < devices) {
    const it = estate.device(index)
    return { address: it.address, dnsName: it.fqdn, owner: index, type: 'dcim.interface', port: 'mgmt0' }
  }
  if (index < devices + oob) {
    const owner = estate.oobDevice(index - devices)
    const it = estate.device(owner)
    const dnsName = it.fqdn.replace('.', '-oob.')
    return { address: it.oobAddress ?? '', dnsName, owner, type: 'dcim.interface', port: 'oob' }
  }
  const isV6 = index >= devices + oob + vms
  const owner = isV6 ? (index - devices - oob - vms) * 10 : index - devices - oob
  const it = estate.vm(owner)
  const address = isV6 ? (it.address6 ?? '') : it.address
  return { address, dnsName: it.fqdn, owner, type: 'virtualization.vminterface', port: 'eth0' }
}
