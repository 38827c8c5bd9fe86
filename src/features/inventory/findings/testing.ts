import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Facts, Subject } from '../../../core/connector.ts'
import type { MachineAsset, MachineView } from '../machines/view.ts'
import { connectionTarget, machineTarget, thingTarget } from './judge.ts'
import { makePlan } from './plan.ts'
import type { Rule, Source, Thing, Witness } from './rule.ts'

export const testNow = new Date('2026-11-26T08:00:00.000Z')

export const ago = (hours: number) => new Date(testNow.getTime() - hours * 3_600_000).toISOString()

/** One system's view of a machine, for tests: `says` are the facts. The connection is named after its subject. */
export function asset(subject: Subject, says: Facts = {}, rest: Partial<MachineAsset> = {}): MachineAsset {
  return {
    id: `ast_${subject}`,
    connection: `con_${subject}`,
    connector: 'example',
    subjects: [subject],
    kind: 'machine',
    externalId: '1',
    name: 'web-1',
    status: null,
    site: 'FRA1',
    serial: null,
    addresses: [],
    url: null,
    attributes: {},
    facts: says,
    form: null,
    lastSeenAt: ago(0),
    staleAt: null,
    ...rest,
  }
}

export function machine(form: MachineView['form'], ...assets: readonly MachineAsset[]): MachineView {
  return { id: 'mch_1', name: 'web-1', form, site: 'FRA1', assets }
}

/** A thing that is no machine. */
export function thing(kind: string, subject: Subject, says: Facts = {}, rest: Partial<Thing> = {}): Thing {
  return { ...asset(subject, says, { kind, name: `${kind}-1` }), ...rest }
}

export function witness(subject: Subject, rest: Partial<Witness> = {}): Witness {
  const named = { id: `con_${subject}`, connector: 'example', name: subject, subjects: [subject] }
  return { ...named, lastFullAt: ago(0), lastSyncedAt: ago(0), ...rest }
}

/** One witness of each subject that findings ask for. */
export const witnesses = (
  ['registry', 'virtualization', 'monitoring', 'backup', 'configuration', 'storage'] as const
).map((subject) => witness(subject))

export function sourceOf(parts: {
  readonly machines?: readonly MachineView[]
  readonly things?: readonly Thing[]
  readonly connections?: readonly Witness[]
}): Source {
  return {
    machines: () => pages(parts.machines ?? []),
    things: () => pages(parts.things ?? []),
    connections: async () => parts.connections ?? witnesses,
  }
}

async function* pages<T>(items: Iterable<T>): AsyncGenerator<readonly T[]> {
  let page: T[] = []
  for (const item of items) {
    page.push(item)
    if (page.length < 500) continue
    yield page
    page = []
  }
  if (page.length > 0) yield page
}

type Judged = { readonly machine?: MachineView; readonly thing?: Thing; readonly connection?: Witness }
type Given = { readonly settings?: Readonly<Record<string, number>>; readonly connections?: readonly Witness[] }

/** What one rule says of one thing: the severity of what it finds, false, or why it rests. */
export function verdictOf(rule: Rule, about: Judged, { settings = {}, connections = witnesses }: Given = {}) {
  const choices = new Map([[rule.id, { isOn: true, settings }]])
  const planned = makePlan({ rules: [rule], choices, connections, now: testNow }).rules.get(rule.id)
  if (!planned || planned.rests !== undefined) return planned?.rests
  const target = about.machine
    ? machineTarget(about.machine)
    : about.thing
      ? thingTarget(about.thing)
      : connectionTarget(about.connection ?? witness('registry'))
  const { found, evidence } = target.judge(planned) ?? { found: false, evidence: () => [] }
  if (found === false) return false
  return {
    severity: found === true ? rule.severity : found,
    says: evidence().map((one) => `${one.subject}: ${one.says}`),
  }
}

/** `[what, about, whether it is found]` as tests of one rule. */
export function testRule(rule: Rule, cases: readonly (readonly [string, Judged, boolean, Given?])[]): void {
  for (const [what, about, isFound, given] of cases)
    test(`${rule.id}: ${what}`, () => {
      const verdict = verdictOf(rule, about, given)
      assert.equal(typeof verdict === 'object', isFound, JSON.stringify(verdict))
    })
}
