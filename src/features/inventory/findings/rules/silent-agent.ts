import type { Subject } from '../../../../core/connector.ts'
import { hourMs, isYounger, sayLifecycle, sayPower, sayReport, testimony } from '../evidence.ts'
import { defineRule, one, type RuleContext } from '../rule.ts'
import type { Seen } from '../seen.ts'

const reporters = ['configuration', 'monitoring', 'backup'] as const

export const silentAgent = defineRule({
  id: 'silent-agent',
  title: 'Agent silent',
  severity: 'warning',
  meaning: 'A machine runs, but its agent no longer reports: what that system says about it is out of date.',
  advice: 'Look on the machine whether the agent runs and reaches its server; often its certificate ran out.',
  settings: { hours: { title: 'Hours that the last report may be old', default: 24, min: 1, max: 8_760 } },
  witnesses: [one(...reporters), one('virtualization', 'registry')],
  machine: {
    finds: (seen, context) =>
      seen.isRunning && !seen.isTemplate && reporters.some((subject) => isSilent(seen, context, subject)),
    evidence: (seen, context) => [
      ...reporters
        .filter((subject) => seen.of(subject).some(({ facts }) => facts.reportAt !== undefined))
        .flatMap((subject) => testimony(seen, context, subject, sayReport)),
      ...(seen.of('virtualization').length > 0
        ? testimony(seen, context, 'virtualization', sayPower)
        : testimony(seen, context, 'registry', sayLifecycle)),
    ],
  },
})

/** Each kind of system by itself: a host that is still polled does not prove that its configuration is applied. */
function isSilent(seen: Seen, context: RuleContext<'hours'>, subject: Subject): boolean {
  const reports = seen.of(subject).filter(({ facts }) => facts.reportAt !== undefined && facts.isMonitored !== false)
  const ms = context.settings.hours * hourMs
  return (
    reports.length > 0 &&
    reports.every(({ facts, connection }) => !facts.reportAt || !isYounger(facts.reportAt, ms, connection, context))
  )
}
