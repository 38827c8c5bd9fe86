import type { Estate, VirtualMachine } from '../lib/estate.ts'

/** How many addresses the estate has. */
export function addressCount({ counts }: Estate): number {
  return counts.devices + counts.oob + counts.vms + counts.vms6
}

/** Addresses in the order: of devices, out of band, of virtual machines, IPv6 of every tenth of those. */
export function addressAt(estate: Estate, index: number, vmOf: (index: number) => VirtualMachine = estate.vm) {
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
  const owner = vmOfAddress(estate, index) ?? 0
  const it = vmOf(owner)
  const address = index >= devices + oob + vms ? (it.address6 ?? '') : it.address
  return { address, dnsName: it.fqdn, owner, type: 'virtualization.vminterface', port: 'eth0' }
}

/** The virtual machine that has an address; undefined for those of devices. */
export function vmOfAddress({ counts: { devices, oob, vms } }: Estate, index: number): number | undefined {
  if (index < devices + oob) return undefined
  return index >= devices + oob + vms ? (index - devices - oob - vms) * 10 : index - devices - oob
}
