import type { Facts, Subject } from '../../../core/connector.ts'
import type { MachineAsset, MachineView } from '../machines/view.ts'
import type { Source, Thing, Witness } from './rule.ts'

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
