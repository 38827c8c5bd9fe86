import { asset, machine, testRule, witness } from '../testing.ts'
import { notMonitored } from './not-monitored.ts'

const on = asset('virtualization', { power: 'on' })
const off = asset('virtualization', { power: 'off' })
const active = asset('registry', { lifecycle: 'active' }, { addresses: ['10.0.0.1'] })
const watched = asset('monitoring', { isMonitored: true })
const unwatched = asset('monitoring', { isMonitored: false })

testRule(notMonitored, [
  ['a running virtual machine', { machine: machine('virtual', on) }, true],
  ['one that the monitoring has', { machine: machine('virtual', on, watched) }, false],
  ['one that the monitoring has without saying more', { machine: machine('virtual', on, asset('monitoring')) }, false],
  ['one that is switched off in the monitoring', { machine: machine('virtual', on, unwatched) }, true],
  ['one that is watched elsewhere', { machine: machine('virtual', on, unwatched, watched) }, false],
  ['one that the monitoring no longer has', { machine: machine('virtual', on, { ...watched, staleAt: 'x' }) }, true],
  ['one that is off', { machine: machine('virtual', off, active) }, false],
  ['a template', { machine: machine('virtual', asset('virtualization', { power: 'on', isTemplate: true })) }, false],
  ['a virtual machine that only the registry has', { machine: machine('virtual', active) }, false],
  ['an active device', { machine: machine('physical', active) }, true],
  ['an active device that is switched off', { machine: machine('physical', active, off) }, false],
  ['a running host that the registry does not have', { machine: machine('physical', on) }, true],
  [
    'a device without any address, like a patch panel',
    { machine: machine('physical', { ...active, addresses: [] }) },
    false,
  ],
  ['a planned device', { machine: machine('physical', { ...active, facts: { lifecycle: 'planned' } }) }, false],
  ['without monitoring', { machine: machine('virtual', on) }, false, { connections: [witness('virtualization')] }],
])
