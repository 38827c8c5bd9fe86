import { sayLifecycle, sayPower, testimony } from '../evidence.ts'
import { all, defineRule, one } from '../rule.ts'

export const notInRegistry = defineRule({
  id: 'not-in-registry',
  title: 'In virtualization but not in registry',
  severity: 'warning',
  meaning: 'The virtualization has a machine that the registry does not have. Templates do not count.',
  advice: 'Register the machine, or remove it if nobody owns it.',
  settings: {},
  witnesses: [all('registry'), one('virtualization')],
  machine: {
    finds: ({ of, isTemplate }) => !isTemplate && of('virtualization').length > 0 && of('registry').length === 0,
    evidence: (seen, context) => [
      ...testimony(seen, context, 'virtualization', sayPower),
      ...testimony(seen, context, 'registry', sayLifecycle),
    ],
  },
})
