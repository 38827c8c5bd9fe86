import type { Cluster } from './partition.ts'

export type Inheritance = {
  /** For each cluster, in the same order: the machine that it goes on as; null: a new one. */
  readonly machines: readonly (number | null)[]
  /** Machines that no cluster goes on as: the number of the cluster that has most of its assets. */
  readonly retired: ReadonlyMap<number, number>
}

/**
 * Which machine each cluster is. A machine goes with most of its assets, of equally many with the oldest; a cluster that holds
 * several goes on as the one that it holds most of, of equally many as the oldest.
 */
export function inherit(clusters: readonly Cluster[]): Inheritance {
  const shares = new Map<number, { cluster: number; count: number; oldest: number }[]>()
  for (const [cluster, { members }] of clusters.entries())
    for (const [machine, own] of Map.groupBy(members, (member) => member.machine)) {
      if (machine === null) continue
      const share = { cluster, count: own.length, oldest: Math.min(...own.map(({ seq }) => seq)) }
      shares.set(machine, [...(shares.get(machine) ?? []), share])
    }
  const claims = [...shares].map(([machine, of]) => {
    const [heir] = of.sort((a, b) => b.count - a.count || a.oldest - b.oldest)
    return { machine, cluster: heir?.cluster ?? 0, count: heir?.count ?? 0 }
  })
  const machines: (number | null)[] = clusters.map(() => null)
  const retired = new Map<number, number>()
  for (const { machine, cluster } of claims.sort((a, b) => b.count - a.count || a.machine - b.machine)) {
    if (machines[cluster] === null) machines[cluster] = machine
    else retired.set(machine, cluster)
  }
  return { machines, retired }
}
