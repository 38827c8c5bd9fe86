import type { Facts } from '../../../../core/connector.ts'
import { asset, machine, testRule } from '../testing.ts'
import { notInVirtualization } from './not-in-virtualization.ts'

const as = (lifecycle: NonNullable<Facts['lifecycle']>) => ({
  machine: machine('virtual', asset('registry', { lifecycle })),
})

testRule(notInVirtualization, [
  ['active in the registry', as('active'), true],
  ['off in the registry', as('off'), true],
  ['planned', as('planned'), false],
  ['spare', as('spare'), false],
  ['failed', as('failed'), false],
  ['leaving', as('leaving'), false],
  ['the registry does not say', { machine: machine('virtual', asset('registry')) }, false],
  ['a device', { machine: machine('physical', asset('registry', { lifecycle: 'active' })) }, false],
  [
    'the virtualization has it',
    { machine: machine('virtual', asset('registry', { lifecycle: 'active' }), asset('virtualization')) },
    false,
  ],
  [
    'the virtualization has it no more',
    {
      machine: machine(
        'virtual',
        asset('registry', { lifecycle: 'active' }),
        asset('virtualization', {}, { staleAt: '2026-01-01T00:00:00.000Z' }),
      ),
    },
    true,
  ],
])
