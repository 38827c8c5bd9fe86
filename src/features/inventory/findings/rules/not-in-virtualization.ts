import { sayLifecycle, sayPower, testimony } from '../evidence.ts'
import { all, defineRule, one } from '../rule.ts'

export const notInVirtualization = defineRule({
  id: 'not-in-virtualization',
  title: 'In registry but not in virtualization',
  severity: 'warning',
  meaning: 'The registry has a virtual machine as active or off, and the virtualization does not have it.',
  advice: 'Correct or remove the entry in the registry, or find out who deleted the machine.',
  settings: {},
  witnesses: [one('registry'), all('virtualization')],
  machine: {
    finds: ({ view, of, lifecycle, isTemplate }) =>
      view.form === 'virtual' &&
      !isTemplate &&
      (lifecycle === 'active' || lifecycle === 'off') &&
      of('virtualization').length === 0,
    evidence: (seen, context) => [
      ...testimony(seen, context, 'registry', sayLifecycle),
      ...testimony(seen, context, 'virtualization', sayPower),
    ],
  },
})
