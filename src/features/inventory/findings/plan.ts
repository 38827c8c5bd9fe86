import type { Subject } from '../../../core/connector.ts'
import { dayMs } from './evidence.ts'
import type { Need, Rule, RuleContext, Witness } from './rule.ts'

/** What an administrator decided about a rule; what is not there is as shipped. */
export type RuleChoice = { readonly isOn: boolean; readonly settings: Readonly<Record<string, number>> }

/** One rule in one evaluation. */
export type Planned = {
  readonly rule: Rule
  readonly context: RuleContext
  readonly isOn: boolean
  /** Why it can neither open nor resolve anything; undefined: it can. */
  readonly rests: string | undefined
}

export type Plan = {
  readonly rules: ReadonlyMap<string, Planned>
  /** Those that judge. */
  readonly judging: readonly Planned[]
  /** Whether somebody who was read completely is witness of it. */
  readonly isHeard: (subject: string) => boolean
}

// Connections read everything again each week; one that has not for two has a fault that its own page shows.
const staleAfterMs = 14 * dayMs

export function makePlan(parts: {
  readonly rules: readonly Rule[]
  readonly choices: ReadonlyMap<string, RuleChoice>
  readonly connections: readonly Witness[]
  readonly now: Date
}): Plan {
  const { connections, now } = parts
  const witnesses = bySubject(connections)
  const moments = new Map(
    connections.map(({ id, lastSyncedAt }) => [id, lastSyncedAt ? Date.parse(lastSyncedAt) : now.getTime()]),
  )
  const shared = {
    now,
    witnesses: (subject: Subject) => witnesses.get(subject) ?? [],
    asOf: (connection: string) => moments.get(connection) ?? now.getTime(),
  }
  const planned = parts.rules.map((rule): Planned => {
    const choice = parts.choices.get(rule.id)
    const rests = rule.witnesses.map((need) => unmet(need, connections, now)).find((reason) => reason !== undefined)
    return { rule, context: { ...shared, settings: settingsOf(rule, choice) }, isOn: choice?.isOn ?? true, rests }
  })
  const heard = new Set(connections.filter((witness) => isComplete(witness, now)).flatMap(({ subjects }) => subjects))
  return {
    rules: new Map(planned.map((one) => [one.rule.id, one])),
    judging: planned.filter(({ isOn, rests }) => isOn && rests === undefined),
    isHeard: (subject) => subject === 'atlas' || heard.has(subject as Subject),
  }
}

/** The rule's numbers: chosen ones where they are still within the bounds. */
export function settingsOf({ settings }: Rule, choice: RuleChoice | undefined): Record<string, number> {
  return Object.fromEntries(
    Object.entries(settings).map(([name, { default: shipped, min, max }]) => {
      const chosen = choice?.settings[name]
      return [name, chosen !== undefined && chosen >= min && chosen <= max ? chosen : shipped]
    }),
  )
}

function unmet({ of, from }: Need, connections: readonly Witness[], now: Date): string | undefined {
  const asked = connections.filter(({ subjects }) => of.some((subject) => subjects.includes(subject)))
  const behind = asked.filter((witness) => !isComplete(witness, now))
  const what = of.join(' or ')
  if (asked.length === 0) return `There is no connection for ${what}`
  if (behind.length === 0 || (from === 'one' && behind.length < asked.length)) return undefined
  const [first] = behind
  return first?.lastFullAt == null
    ? `${first?.name} (${what}) has not been read completely yet`
    : `${first.name} (${what}) was last read completely at ${first.lastFullAt}`
}

function isComplete({ lastFullAt }: Witness, now: Date): boolean {
  return lastFullAt !== null && now.getTime() - Date.parse(lastFullAt) <= staleAfterMs
}

function bySubject(connections: readonly Witness[]): Map<Subject, Witness[]> {
  const map = new Map<Subject, Witness[]>()
  for (const connection of connections)
    for (const subject of connection.subjects) map.set(subject, [...(map.get(subject) ?? []), connection])
  return map
}
