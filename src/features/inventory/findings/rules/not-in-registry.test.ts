import { asset, machine, testRule, witness } from '../testing.ts'
import { notInRegistry } from './not-in-registry.ts'

const on = asset('virtualization', { power: 'on' })

testRule(notInRegistry, [
  ['a running machine', { machine: machine('virtual', on) }, true],
  ['one that is off', { machine: machine('virtual', asset('virtualization', { power: 'off' })) }, true],
  ['a host', { machine: machine('physical', on) }, true],
  ['one that the registry has', { machine: machine('virtual', on, asset('registry')) }, false],
  [
    'one that was taken out of the registry',
    { machine: machine('virtual', on, asset('registry', {}, { staleAt: 'x' })) },
    true,
  ],
  ['a template', { machine: machine('virtual', asset('virtualization', { isTemplate: true })) }, false],
  ['one that the virtualization has no more', { machine: machine('virtual', { ...on, staleAt: 'x' }) }, false],
  ['one that only the monitoring has', { machine: machine(null, asset('monitoring')) }, false],
  [
    'while a second registry is not read completely',
    { machine: machine('virtual', on) },
    false,
    {
      connections: [
        witness('virtualization'),
        witness('registry'),
        witness('registry', { id: 'con_2', lastFullAt: null }),
      ],
    },
  ],
  [
    'while a second virtualization is not read completely',
    { machine: machine('virtual', on) },
    true,
    {
      connections: [
        witness('registry'),
        witness('virtualization'),
        witness('virtualization', { id: 'con_2', lastFullAt: null }),
      ],
    },
  ],
])
