import type { Subject } from '../../../../core/connector.ts'
import { statement } from '../evidence.ts'
import { defineRule, one } from '../rule.ts'

const keepers: readonly Subject[] = ['storage', 'virtualization', 'backup']
// Volumes and shares are given to be filled.
const pools = ['storage-pool', 'pool', 'datastore', 'aggregate']

export const poolFull = defineRule({
  id: 'pool-full',
  title: 'Storage pool nearly full',
  severity: 'high',
  meaning: 'A pool of storage is so full that what lives in it may soon stop. From 95 % on it is critical.',
  advice: 'Free space (old snapshots, machines that are off), move something away, or add capacity.',
  settings: { percent: { title: 'Percent that may be used', default: 85, min: 1, max: 99 } },
  witnesses: [one(...keepers)],
  thing: {
    finds({ kind, facts: { usedPercent } }, { settings }) {
      if (usedPercent === undefined || !pools.includes(kind) || usedPercent <= settings.percent) return false
      return usedPercent >= 95 ? 'critical' : true
    },
    // Whole percents: the finding need not be written again for each gigabyte.
    evidence: (thing) => [
      statement(
        thing,
        thing.subjects.find((subject) => keepers.includes(subject)) ?? 'storage',
        thing.facts.usedPercent === undefined
          ? 'does not say how full it is'
          : `${Math.floor(thing.facts.usedPercent)} % used`,
      ),
    ],
  },
})
