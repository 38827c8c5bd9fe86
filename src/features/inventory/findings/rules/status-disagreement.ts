import { sayLifecycle, sayPower, testimony } from '../evidence.ts'
import { defineRule, one } from '../rule.ts'

export const statusDisagreement = defineRule({
  id: 'status-disagreement',
  title: 'Status disagrees',
  severity: 'warning',
  meaning:
    'The registry has a machine as active and it is switched off, or as off and it is switched on. Planned, failed, spare and leaving machines may be either.',
  advice: 'Correct the status in the registry, or switch the machine on or off.',
  settings: {},
  witnesses: [one('registry'), one('virtualization')],
  machine: {
    finds: ({ lifecycle, power, isTemplate }) =>
      !isTemplate && ((lifecycle === 'active' && power === 'off') || (lifecycle === 'off' && power === 'on')),
    evidence: (seen, context) => [
      ...testimony(seen, context, 'registry', sayLifecycle),
      ...testimony(seen, context, 'virtualization', sayPower),
    ],
  },
})
