import { hourMs, isYounger, sayBackup, sayPower, sayReport, testimony } from '../evidence.ts'
import { all, defineRule, one, type RuleContext } from '../rule.ts'
import type { Seen } from '../seen.ts'

export const noBackup = defineRule({
  id: 'no-backup',
  title: 'No recent backup',
  severity: 'high',
  meaning: 'A machine that runs an operating system has no good backup that is young enough, or none at all.',
  advice: 'Look at the last jobs of the machine in the backup system, or add the machine to a backup plan.',
  settings: { hours: { title: 'Hours that the last good backup may be old', default: 48, min: 1, max: 8_760 } },
  witnesses: [all('backup'), one('virtualization', 'configuration')],
  machine: {
    finds(seen, context) {
      if (seen.isTemplate || !runsSystem(seen, context)) return false
      const ms = context.settings.hours * hourMs
      const isRecent = (at: string, connection: string) => isYounger(at, ms, connection, context)
      // A machine that was made today has its first night before it.
      if (seen.live.some(({ facts, connection }) => facts.createdAt && isRecent(facts.createdAt, connection)))
        return false
      return !seen.of('backup').some(({ facts, connection }) => facts.backupAt && isRecent(facts.backupAt, connection))
    },
    evidence: (seen, context) => [
      ...testimony(seen, context, 'backup', sayBackup),
      ...(seen.of('virtualization').length > 0
        ? testimony(seen, context, 'virtualization', sayPower)
        : testimony(seen, context, 'configuration', sayReport)),
    ],
  },
})

function runsSystem(seen: Seen, context: RuleContext<'hours'>): boolean {
  if (seen.view.form === 'virtual') return seen.power === 'on'
  if (seen.view.form !== 'physical') return false
  const agents = seen.of('configuration')
  if (agents.length === 0) return false
  // Whom the registry does not know, its agent's reports show to be running.
  const reports = agents.some(
    ({ facts, connection }) => facts.reportAt && isYounger(facts.reportAt, 24 * hourMs, connection, context),
  )
  return seen.isRunning || (seen.lifecycle === undefined && seen.power === undefined && reports)
}
