import { dayMs, isOlder, statement } from '../evidence.ts'
import { defineRule, one } from '../rule.ts'

export const oldSnapshot = defineRule({
  id: 'old-snapshot',
  title: 'Old snapshot',
  severity: 'warning',
  meaning: "A virtual machine's snapshot is old. It grows, slows the machine down, and is not a backup.",
  advice: 'Ask who made it what it is for, and delete it in the virtualization.',
  settings: { days: { title: 'Days that a snapshot may be old', default: 14, min: 1, max: 3_650 } },
  witnesses: [one('virtualization')],
  thing: {
    // Snapshots of storage systems are kept on purpose, by a schedule.
    finds: ({ kind, subjects, facts, connection }, context) =>
      kind === 'snapshot' &&
      subjects.includes('virtualization') &&
      facts.createdAt !== undefined &&
      isOlder(facts.createdAt, context.settings.days * dayMs, connection, context),
    evidence: (thing) => [statement(thing, 'virtualization', `made ${thing.facts.createdAt ?? 'at an unknown time'}`)],
  },
})
