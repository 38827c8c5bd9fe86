import type { Facts } from '../../../../core/connector.ts'
import { ago, asset, machine, testRule } from '../testing.ts'
import { statusDisagreement } from './status-disagreement.ts'

const sides = (lifecycle: NonNullable<Facts['lifecycle']>, power: NonNullable<Facts['power']>) => ({
  machine: machine('virtual', asset('registry', { lifecycle }), asset('virtualization', { power })),
})
const active = asset('registry', { lifecycle: 'active' })

testRule(statusDisagreement, [
  ['active and off', sides('active', 'off'), true],
  ['off and on', sides('off', 'on'), true],
  ['active and on', sides('active', 'on'), false],
  ['off and off', sides('off', 'off'), false],
  ['active and suspended', sides('active', 'suspended'), false],
  ...(['planned', 'failed', 'spare', 'leaving'] as const).flatMap((lifecycle) => [
    [`${lifecycle} and on`, sides(lifecycle, 'on'), false] as const,
    [`${lifecycle} and off`, sides(lifecycle, 'off'), false] as const,
  ]),
  ['only in the registry', { machine: machine('virtual', active) }, false],
  ['only in the virtualization', { machine: machine('virtual', asset('virtualization', { power: 'on' })) }, false],
  [
    'a machine that moved is on in one place and off in the other',
    {
      machine: machine(
        'virtual',
        active,
        asset('virtualization', { power: 'off' }),
        asset('virtualization', { power: 'on' }),
      ),
    },
    false,
  ],
  [
    'a template',
    { machine: machine('virtual', active, asset('virtualization', { power: 'off', isTemplate: true })) },
    false,
  ],
  [
    'off, but gone',
    { machine: machine('virtual', active, asset('virtualization', { power: 'off' }, { staleAt: ago(1) })) },
    false,
  ],
])
