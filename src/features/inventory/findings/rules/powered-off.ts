import { dayMs, isOlder, sayPower, testimony } from '../evidence.ts'
import { defineRule, one } from '../rule.ts'

export const poweredOff = defineRule({
  id: 'powered-off',
  title: 'Switched off for long',
  severity: 'info',
  meaning: 'A machine has been switched off for so long that it is probably no longer needed. It still takes storage.',
  advice: 'Ask its owner; then archive and delete it, or acknowledge the finding with the reason why it stays.',
  settings: { days: { title: 'Days that a machine may be switched off', default: 30, min: 1, max: 3_650 } },
  witnesses: [one('virtualization')],
  machine: {
    finds(seen, context) {
      if (seen.isTemplate || seen.power !== 'off') return false
      const since = seen.of('virtualization').filter(({ facts }) => facts.powerSince !== undefined)
      const ms = context.settings.days * dayMs
      return (
        since.length > 0 &&
        since.every(({ facts, connection }) => isOlder(facts.powerSince ?? '', ms, connection, context))
      )
    },
    evidence: (seen, context) => testimony(seen, context, 'virtualization', sayPower),
  },
})
