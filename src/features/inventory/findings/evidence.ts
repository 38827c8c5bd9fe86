import type { Subject } from '../../../core/connector.ts'
import type { MachineAsset } from '../machines/view.ts'
import type { Evidence, RuleContext } from './rule.ts'
import type { Seen } from './seen.ts'

// A machine with more statements than this is a fault in matching; ten show it.
const most = 10

/** What each asset of a subject says; when there is none, that each witness of the subject does not have it. */
export function testimony(
  seen: Seen,
  context: RuleContext,
  subject: Subject,
  say: (asset: MachineAsset) => string,
): Evidence[] {
  const assets = seen.of(subject)
  if (assets.length > 0) return assets.slice(0, most).map((asset) => statement(asset, subject, say(asset)))
  return context
    .witnesses(subject)
    .slice(0, most)
    .map(({ id, lastFullAt, lastSyncedAt }) => ({
      subject,
      connection: id,
      asset: null,
      name: null,
      says: 'does not have it',
      at: lastSyncedAt ?? lastFullAt,
      url: null,
    }))
}

export function statement(asset: MachineAsset, subject: Subject, says: string): Evidence {
  const { id, connection, name, lastSeenAt, url } = asset
  return { subject, connection, asset: id, name, says, at: lastSeenAt, url }
}

/** Something that Atlas itself knows. */
export function ownWord(says: string, at: Date, connection: string | null = null): Evidence {
  return { subject: 'atlas', connection, asset: null, name: null, says, at: at.toISOString(), url: null }
}

export function sayLifecycle({ facts, status }: MachineAsset): string {
  const word = facts.lifecycle ?? 'has it'
  return status === null || status === word ? word : `${word} (${status})`
}

export function sayPower({ facts: { power, powerSince, isTemplate } }: MachineAsset): string {
  if (isTemplate) return 'a template'
  if (power === undefined) return 'has it'
  const state = power === 'suspended' ? 'suspended' : `switched ${power}`
  return powerSince === undefined ? state : `${state} since ${powerSince}`
}

export function sayMonitored({ facts }: MachineAsset): string {
  return facts.isMonitored === false ? 'has it, but does not monitor it' : 'monitors it'
}

export function sayBackup({ facts: { backupAt } }: MachineAsset): string {
  return backupAt ? `last good backup ${backupAt}` : 'has never backed it up'
}

export function sayReport({ facts: { reportAt } }: MachineAsset): string {
  if (reportAt === undefined) return 'has it'
  return reportAt === null ? 'has never had a report' : `last report ${reportAt}`
}

export const hourMs = 3_600_000
export const dayMs = 24 * hourMs

/** Whether a moment lies at most `ms` before the one as of which the connection speaks; false when it is no time at all. */
export function isYounger(at: string, ms: number, connection: string, { asOf }: RuleContext): boolean {
  return asOf(connection) - Date.parse(at) <= ms
}

/** Whether it lies further back; false, too, when it is no time at all. */
export function isOlder(at: string, ms: number, connection: string, { asOf }: RuleContext): boolean {
  return asOf(connection) - Date.parse(at) > ms
}
