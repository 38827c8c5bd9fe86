import type { NeighbourRow } from './store-read.ts'
import type { MachineAsset } from './view.ts'

// What a machine's assets say together.

type Live = readonly MachineAsset[]

export function liveOf(assets: readonly MachineAsset[]): Live {
  return assets.filter(({ staleAt }) => staleAt === null)
}

/** Each address with the connections that know it. */
export function addressesOf(assets: Live): { address: string; connections: string[] }[] {
  const found = new Map<string, Set<string>>()
  for (const { addresses, connection } of assets)
    for (const address of addresses) found.set(address, (found.get(address) ?? new Set()).add(connection))
  return [...found].map(([address, connections]) => ({ address, connections: [...connections] }))
}

/** What the monitoring knows; null: no monitoring has it. */
export function monitoringOf(assets: Live): { asset: string; isMonitored: boolean; status: string | null } | null {
  const [one] = assets.filter(({ subjects }) => subjects.includes('monitoring'))
  return one ? { asset: one.id, isMonitored: one.facts.isMonitored ?? true, status: one.status } : null
}

/** The newest good backup; `at` null: known to a backup system, and never backed up. Null: no backup system has it. */
export function backupOf(assets: Live): { asset: string; at: string | null } | null {
  const known = assets.filter(({ facts }) => facts.backupAt !== undefined)
  const [newest] = known.toSorted((a, b) => ((a.facts.backupAt ?? '') < (b.facts.backupAt ?? '') ? 1 : -1))
  return newest ? { asset: newest.id, at: newest.facts.backupAt ?? null } : null
}

export function powerOf(assets: Live): { power: string; since: string | null } | null {
  const [one] = assets.filter(({ facts }) => facts.power !== undefined)
  return one ? { power: one.facts.power ?? '', since: one.facts.powerSince ?? null } : null
}

/** Related things of kind `problem`, the worst first. */
export function problemsOf(neighbours: readonly NeighbourRow[]) {
  const problems = neighbours.flatMap(({ kind, id, name, url, facts }) => {
    if (kind !== 'problem') return []
    const { severity = null, openedAt = null } = JSON.parse(facts) as { severity?: number; openedAt?: string }
    return [{ asset: id, name, severity, openedAt, url }]
  })
  const distinct = [...new Map(problems.map((problem) => [problem.asset, problem])).values()]
  return distinct.toSorted(
    (a, b) => (b.severity ?? 0) - (a.severity ?? 0) || (`${a.openedAt}` < `${b.openedAt}` ? 1 : -1),
  )
}

/** What it is on or in: host, cluster, rack, site. */
export function placementOf(neighbours: readonly NeighbourRow[]) {
  const places = new Set(['runs-on', 'member-of', 'located-in', 'part-of'])
  return neighbours.filter(({ direction, type }) => direction === 'out' && places.has(type)).map(neighbourOf)
}

export function neighbourOf({ type, direction, kind, name, id, machine }: NeighbourRow) {
  return { relation: type, direction, kind, name, asset: id, machine }
}
