/** A network, action or hour that was used: on how many days, and when last. Days are counted since 1970, in UTC. */
export type Sighting = {
  readonly value: string
  readonly days: number
  readonly lastDay: number
  readonly usual: boolean
}

type Day = { readonly today: number; readonly isLearning: boolean; readonly most: number }

/** What was new becomes usual when it was used on this many days: a stranger does not become usual by coming once. */
const adoptedAfterDays = 3
const forgottenAfterDays = 90

/** The sightings after `values` were used today, and those of them that are not usual. While it is learning, all are. */
export function see(
  before: readonly Sighting[],
  values: Iterable<string>,
  { today, isLearning, most }: Day,
): { readonly after: readonly Sighting[]; readonly odd: readonly string[] } {
  const known = new Map(before.map((sighting) => [sighting.value, sighting]))
  const odd: string[] = []
  for (const value of values) {
    const { days = 0, lastDay = -1, usual = isLearning } = known.get(value) ?? {}
    const sighting = { value, days: today > lastDay ? days + 1 : days, lastDay: Math.max(today, lastDay), usual }
    const isUsual = usual || sighting.days >= adoptedAfterDays
    known.set(value, { ...sighting, usual: isUsual })
    if (!isUsual) odd.push(value)
  }
  const kept = [...known.values()].filter(({ lastDay }) => today - lastDay < forgottenAfterDays)
  // Usual ones last, so that whoever comes from many networks drives out no usual one.
  const byWorth = kept.sort((a, b) => Number(a.usual) - Number(b.usual) || a.lastDay - b.lastDay)
  return { after: byWorth.slice(-most), odd }
}

export function usualOf(sightings: readonly Sighting[]): string[] {
  return sightings.filter(({ usual }) => usual).map(({ value }) => value)
}
