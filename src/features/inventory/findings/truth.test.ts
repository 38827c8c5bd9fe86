import assert from 'node:assert/strict'
import { makeCompany } from '../../../../simulators/lib/company.ts'
import type { Device, VirtualMachine } from '../../../../simulators/lib/estate.ts'
import {
  type Flaw,
  flaws,
  type MachineTruth,
  type System,
  systems,
  type Truth,
} from '../../../../simulators/lib/truth.ts'
import type { Facts } from '../../../core/connector.ts'
import type { Database } from '../../../lib/db/database.ts'
import { testOnEach } from '../../../testing/databases.ts'
import type { MachineAsset, MachineView } from '../machines/view.ts'
import { inventoryMigrations } from '../migrations.ts'
import { evaluate } from './evaluate.ts'
import type { Source, Thing } from './rule.ts'
import { rules } from './rules/index.ts'
import { findActive } from './store.ts'
import { asset, sourceOf, witness } from './testing.ts'

const ruleOf: Readonly<Record<Flaw, string>> = {
  'no-backup': 'no-backup',
  'old-backup': 'no-backup',
  'not-monitored': 'not-monitored',
  'monitored-but-gone': 'monitored-but-gone',
  'not-in-registry': 'not-in-registry',
  'not-in-virtualization': 'not-in-virtualization',
  'address-differs': 'address-disagreement',
  'status-differs': 'status-disagreement',
  'long-off': 'powered-off',
  'old-snapshot': 'old-snapshot',
  'silent-agent': 'silent-agent',
}
const now = new Date('2026-11-26T08:00:00.000Z')
const never = new AbortController().signal

testOnEach(
  'exactly the planted flaws of a company are found, one finding each',
  inventoryMigrations,
  async (database) => {
    const truth = makeCompany({ copies: 2, now })
    const result = await evaluate({ database, source: companySource(truth), rules, now: () => now }, never)

    const found = await allFindings(database)
    const wanted = [...truth.planted].map(([index, flaw]) => `${ruleOf[flaw]} mch_v${index}`)
    assert.equal(wanted.length, flaws.length * 2)
    assert.deepEqual(found.map(({ rule, machine_id }) => `${rule} ${machine_id}`).sort(), wanted.sort())
    assert.equal(result.opened, wanted.length)
    assert.deepEqual(result.resting, [])
  },
)

testOnEach('a company without flaws has no findings', inventoryMigrations, async (database) => {
  for (const seed of [1, 2, 3]) {
    const truth = makeCompany({ copies: 0, seed, now })
    await evaluate({ database, source: companySource(truth), rules, now: () => now }, never)
    assert.deepEqual(await allFindings(database), [], `seed ${seed}`)
  }
})

function allFindings(database: Database) {
  return findActive(database.db, 0, 1_000_000, 10_000)
}

// What the machines room makes of the company: one machine of what each system knows.

function companySource(truth: Truth): Source {
  const { vms, devices } = truth.estate.counts
  const indexes = (count: number) => Array.from({ length: count }, (_, index) => index)
  const machines = [
    ...indexes(devices).map((index) => viewOf('physical', `mch_d${index}`, truth.device(index))),
    ...indexes(vms).map((index) => viewOf('virtual', `mch_v${index}`, truth.vm(index))),
  ]
  const things = indexes(vms).flatMap((index) => snapshotsOf(`mch_v${index}`, truth.vm(index)))
  const at = { lastFullAt: truth.now.toISOString(), lastSyncedAt: truth.now.toISOString() }
  return sourceOf({ machines, things, connections: systems.map((system) => witness(system, at)) })
}

function viewOf(form: 'physical' | 'virtual', id: string, one: (Device | VirtualMachine) & MachineTruth): MachineView {
  const assets = systems
    .filter((system) => one.isIn(system))
    .map((system): MachineAsset => {
      const addresses = [one.addressIn(system).split('/')[0] ?? '']
      const own = {
        id: `ast_${system}_${id}`,
        name: one.hostName,
        addresses,
        form: system === 'monitoring' ? null : form,
      }
      return asset(system, factsIn(system, one), own)
    })
  const known = assets.find((known) => known.form !== null)
  return { id, name: one.hostName, form: known?.form ?? null, site: 'FRA1', assets }
}

function factsIn(system: System, one: (Device | VirtualMachine) & MachineTruth): Facts {
  if (system === 'registry') return { lifecycle: lifecycles[one.state] }
  if (system === 'virtualization') return { power: one.power, powerSince: one.powerSince.toISOString() }
  if (system === 'monitoring') return { isMonitored: one.isMonitored }
  if (system === 'backup') return { backupAt: one.backupAt?.toISOString() ?? null }
  return { reportAt: one.reportAt.toISOString() }
}

const lifecycles = {
  'in-service': 'active',
  planned: 'planned',
  staged: 'planned',
  spare: 'spare',
  failed: 'failed',
  off: 'off',
  leaving: 'leaving',
} as const

function snapshotsOf(id: string, { snapshotAt, hostName }: VirtualMachine & MachineTruth): Thing[] {
  if (!snapshotAt) return []
  const facts = { createdAt: snapshotAt.toISOString() }
  return [
    {
      ...asset('virtualization', facts, { id: `ast_snapshot_${id}`, kind: 'snapshot', name: 'before upgrade' }),
      machine: { id, name: hostName },
    },
  ]
}
