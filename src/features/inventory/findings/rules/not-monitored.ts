import { sayLifecycle, sayMonitored, sayPower, testimony } from '../evidence.ts'
import { all, defineRule, one } from '../rule.ts'

export const notMonitored = defineRule({
  id: 'not-monitored',
  title: 'Not monitored',
  severity: 'high',
  meaning: 'A machine is in service and the monitoring does not have it, or has it switched off.',
  advice: 'Add the machine to the monitoring, or correct its status in the registry.',
  settings: {},
  witnesses: [all('monitoring'), one('virtualization', 'registry')],
  machine: {
    finds(seen) {
      if (seen.isTemplate) return false
      if (seen.of('monitoring').some(({ facts }) => facts.isMonitored !== false)) return false
      if (seen.power !== undefined) return seen.power === 'on'
      // What has no address, like a patch panel, cannot be monitored.
      const hasAddress = seen.live.some(({ addresses }) => addresses.length > 0)
      return seen.view.form === 'physical' && seen.lifecycle === 'active' && hasAddress
    },
    evidence: (seen, context) => [
      ...testimony(seen, context, 'monitoring', sayMonitored),
      ...(seen.of('virtualization').length > 0
        ? testimony(seen, context, 'virtualization', sayPower)
        : testimony(seen, context, 'registry', sayLifecycle)),
    ],
  },
})
