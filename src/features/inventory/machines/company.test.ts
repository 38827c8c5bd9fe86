import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeCompany } from '../../../../simulators/lib/company.ts'
import { type System, systems } from '../../../../simulators/lib/truth.ts'
import type { Observation } from '../../../core/connector.ts'
import { freshSqlite } from '../../../testing/databases.ts'
import { makeInventory } from '../inventory.ts'
import { inventoryMigrations } from '../migrations.ts'

// The company that all simulators share, with the least that each system says of a machine.

const truth = makeCompany({ devices: 288, vms: 400, copies: 2 })
type One = ReturnType<typeof truth.vm> | ReturnType<typeof truth.device>

function observe(system: System, one: One): Observation {
  const { hostName, fqdn, uuid } = one
  const isVm = 'mac' in one
  const form = isVm ? ('virtual' as const) : ('physical' as const)
  const [address = ''] = one.addressIn(system).split('/')
  const thing = { kind: 'machine', externalId: `${form} ${hostName}`, name: hostName, attributes: {} }
  if (system === 'registry') {
    const site = truth.estate.site(one.site).code.toUpperCase()
    return { ...thing, site, addresses: [address], machine: { form, hostNames: [hostName] } }
  }
  if (system === 'virtualization') {
    const macs = isVm ? [one.mac] : one.macs
    return { ...thing, addresses: [address], machine: { form, hostNames: [hostName], uuids: [uuid], macs } }
  }
  if (system === 'monitoring')
    return { ...thing, addresses: [address], machine: { hostNames: [hostName.toUpperCase()] } }
  if (system === 'backup') return { ...thing, machine: { fqdns: [fqdn] } }
  return { ...thing, machine: { form, fqdns: [fqdn], uuids: [uuid] } }
}

test('each machine of the company is one machine, whatever flaw was planted on it', async (t) => {
  const database = await freshSqlite(t, inventoryMigrations)
  const inventory = makeInventory({ database, subjectsOf: () => [], now: () => new Date() })
  const wanted = new Map<string, string[]>()
  for (const system of systems) {
    const all = [...truth.devices(system), ...truth.vms(system)]
    for (const { hostName } of all) wanted.set(hostName, [...(wanted.get(hostName) ?? []), system])
    const observations = all.map((one) => observe(system, one))
    await inventory.applyBatch({ connectionId: `con_${system}`, connector: system, runId: 'r1', observations })
  }

  const found: [string, string[]][] = []
  for await (const page of inventory.machineViews())
    for (const { name, assets } of page) found.push([name, assets.map(({ connector }) => connector)])

  const order = (list: Iterable<[string, string[]]>) =>
    [...list].map(([name, of]) => `${name.toLowerCase()} ${of.sort().join(' ')}`).sort()
  assert.deepEqual(order(found), order(wanted))
})
