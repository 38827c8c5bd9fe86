import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MachineAsset } from '../../machines/view.ts'
import { ago, asset, machine, testRule, verdictOf, witness } from '../testing.ts'
import { noBackup } from './no-backup.ts'

const on = asset('virtualization', { power: 'on' })
const virtual = (...assets: readonly MachineAsset[]) => ({ machine: machine('virtual', on, ...assets) })
const physical = (...assets: readonly MachineAsset[]) => ({ machine: machine('physical', ...assets) })
const active = asset('registry', { lifecycle: 'active' })
const agent = asset('configuration', { reportAt: ago(1) })
const never = asset('backup', { backupAt: null })
const old = asset('backup', { backupAt: ago(49) })
const fresh = asset('backup', { backupAt: ago(47) })

testRule(noBackup, [
  ['a running virtual machine that was never backed up', virtual(never), true],
  ['one that the backup system does not have', virtual(), true],
  ['one whose last good backup is too old', virtual(old), true],
  ['one whose last good backup is young enough', virtual(fresh), false],
  ['the newest of two backup systems counts', virtual(old, fresh), false],
  ['a backup client that is gone does not count', virtual({ ...fresh, staleAt: ago(1) }), true],
  ['a backup at no time at all', virtual(asset('backup', { backupAt: 'tonight' })), true],
  ['another threshold', virtual(old), false, { settings: { hours: 50 } }],
  ['a machine made yesterday', virtual(asset('virtualization', { power: 'on', createdAt: ago(20) })), false],
  ['a machine made last week', virtual(asset('virtualization', { power: 'on', createdAt: ago(170) })), true],
  ['one that is off', { machine: machine('virtual', asset('virtualization', { power: 'off' }), never) }, false],
  ['a suspended one', { machine: machine('virtual', asset('virtualization', { power: 'suspended' }), never) }, false],
  [
    'a template',
    { machine: machine('virtual', asset('virtualization', { power: 'on', isTemplate: true }), never) },
    false,
  ],
  ['a virtual one that only the registry has', { machine: machine('virtual', active) }, false],
  ['an active server with an agent', physical(active, agent, never), true],
  ['an unregistered server with an agent that reports', physical(agent, never), true],
  [
    'an unregistered server whose agent is silent',
    physical(asset('configuration', { reportAt: ago(30) }), never),
    false,
  ],
  ['a server that is off in the registry', physical(asset('registry', { lifecycle: 'off' }), agent, never), false],
  ['a hypervisor or switch, without an agent', physical(active, asset('virtualization', { power: 'on' })), false],
  ['what only the backup system knows', { machine: machine(null, old) }, false],
])

test('no-backup: the evidence names the backup and the power', () => {
  assert.deepEqual(verdictOf(noBackup, virtual(old)), {
    severity: 'high',
    says: [`backup: last good backup ${ago(49)}`, 'virtualization: switched on'],
  })
})

test('no-backup: a backup system that is silent for days proves nothing', () => {
  const silent = witness('backup', { lastSyncedAt: ago(40) })
  assert.equal(verdictOf(noBackup, virtual(old), { connections: [silent, witness('virtualization')] }), false)
})

test('no-backup: rests without a backup connection, and until each was read completely', () => {
  const running = witness('virtualization')
  const rests = (...connections: ReturnType<typeof witness>[]) => verdictOf(noBackup, virtual(never), { connections })
  assert.equal(rests(running), 'There is no connection for backup')
  assert.equal(rests(witness('backup')), 'There is no connection for virtualization or configuration')
  assert.equal(
    rests(running, witness('backup'), witness('backup', { id: 'con_2', name: 'second', lastFullAt: null })),
    'second (backup) has not been read completely yet',
  )
  assert.equal(
    rests(running, witness('backup', { lastFullAt: ago(15 * 24) })),
    `backup (backup) was last read completely at ${ago(15 * 24)}`,
  )
})
