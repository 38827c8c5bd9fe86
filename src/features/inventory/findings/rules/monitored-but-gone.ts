import { sayLifecycle, sayMonitored, sayPower, testimony } from '../evidence.ts'
import { all, defineRule, one } from '../rule.ts'

export const monitoredButGone = defineRule({
  id: 'monitored-but-gone',
  title: 'Monitored but gone',
  severity: 'warning',
  meaning: 'The monitoring watches a machine that no other system has.',
  advice: 'Remove the host from the monitoring, or add the machine to the registry if it exists.',
  settings: {},
  witnesses: [one('monitoring'), all('registry'), all('virtualization')],
  machine: {
    finds({ live, of }) {
      const watched = of('monitoring')
      return watched.length === live.length && watched.some(({ facts }) => facts.isMonitored !== false)
    },
    evidence: (seen, context) => [
      ...testimony(seen, context, 'monitoring', sayMonitored),
      ...testimony(seen, context, 'registry', sayLifecycle),
      ...testimony(seen, context, 'virtualization', sayPower),
    ],
  },
})
