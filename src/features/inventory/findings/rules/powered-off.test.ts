import { ago, asset, machine, testRule, witness } from '../testing.ts'
import { poweredOff } from './powered-off.ts'

const since = (days: number, more = {}) => ({
  machine: machine('virtual', asset('virtualization', { power: 'off', powerSince: ago(days * 24), ...more })),
})

testRule(poweredOff, [
  ['for 31 days', since(31), true],
  ['for 29 days', since(29), false],
  ['another threshold', since(29), true, { settings: { days: 28 } }],
  ['a threshold out of bounds counts as the shipped one', since(29), false, { settings: { days: 0 } }],
  ['a template', since(31, { isTemplate: true }), false],
  ['on for 31 days', since(31, { power: 'on' }), false],
  ['since no time at all', since(31, { powerSince: 'always' }), false],
  ['nobody knows since when', { machine: machine('virtual', asset('virtualization', { power: 'off' })) }, false],
  ['no virtualization', since(31), false, { connections: [witness('registry')] }],
])
