import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeEstate } from './estate.ts'

const every = <T>(count: number, make: (index: number) => T) => Array.from({ length: count }, (_, index) => make(index))
const repeated = (values: readonly (string | undefined)[]) => {
  const seen = new Set<string | undefined>()
  return values.filter((value) => value !== undefined && (seen.has(value) || !seen.add(value)))
}

test('An estate of 20,000 devices repeats no name, serial, UUID, MAC or address', () => {
  const estate = makeEstate({ seed: 7, devices: 20_000, vms: 40_000 })
  const devices = every(20_000, estate.device)
  const vms = every(40_000, estate.vm)

  assert.deepEqual(
    {
      names: repeated([...devices, ...vms].map((machine) => machine.fqdn)),
      serials: repeated(devices.map((device) => device.serial)),
      uuids: repeated([...devices, ...vms].map((machine) => machine.uuid)),
      macs: repeated([...devices.flatMap((device) => device.macs), ...vms.map((vm) => vm.mac)]),
      addresses: repeated([
        ...devices.flatMap((d) => [d.address, d.oobAddress]),
        ...vms.flatMap((v) => [v.address, v.address6]),
      ]),
      sites: repeated(every(estate.counts.sites, (i) => estate.site(i).code)),
      racks: repeated(every(estate.counts.racks, (i) => estate.rack(i).name)),
      clusters: repeated(every(estate.counts.clusters, (i) => estate.cluster(i).name)),
      tenants: repeated(every(estate.counts.tenants, (i) => estate.tenant(i).slug)),
    },
    { names: [], serials: [], uuids: [], macs: [], addresses: [], sites: [], racks: [], clusters: [], tenants: [] },
  )
})

test('The same seed gives the same estate, another seed another one', () => {
  const [one, same, other] = [1, 1, 2].map((seed) =>
    JSON.stringify(every(500, makeEstate({ seed, devices: 500, vms: 0 }).device)),
  )

  assert.equal(one, same)
  assert.notEqual(one, other)
})

test('Everything that an estate refers to is in it, whatever its size', () => {
  for (const devices of [0, 1, 5, 24, 25, 300, 1000, 2881]) {
    const estate = makeEstate({ seed: 1, devices, vms: 0 })
    const full = makeEstate({ seed: 1, devices, vms: estate.counts.hypervisors * 3 })
    for (const device of every(devices, full.device)) {
      assert.ok(
        device.site < full.counts.sites &&
          device.rack < full.counts.racks &&
          (device.cluster ?? 0) < full.counts.clusters,
      )
    }
    for (const vm of every(full.counts.vms, full.vm)) {
      assert.ok(vm.host < devices && vm.site < full.counts.sites && vm.cluster < full.counts.clusters)
      assert.equal(full.device(vm.host).role, 'hypervisor')
    }
    for (const rank of every(full.counts.oob, (n) => n)) assert.equal(full.oobRank(full.oobDevice(rank)), rank)
    assert.equal(every(devices, full.device).filter((device) => device.oobAddress).length, full.counts.oob)
  }
})
