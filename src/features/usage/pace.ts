/** How fast calls came: the calls of the last minutes by second, and the busiest minute of each of the last days with calls. */
export type Pace = {
  readonly recent: readonly (readonly [second: number, calls: number])[]
  readonly peaks: readonly (readonly [day: number, calls: number])[]
}

export type Burst = { readonly at: number; readonly calls: number; readonly usual: number }

const factor = 10
/** Fewer calls a minute are taken for this many, or the second click of a quiet day would be a burst. */
const quietest = 2
const keptDays = 14
/** Several processes report the same minute at different times. */
const keptSeconds = 180
const daySeconds = 86_400

/**
 * The pace after `seconds` (calls by second), and each day's busiest minute in it that had ten times the calls of the busiest
 * minute of the days before. Any sixty seconds in a row are a minute.
 */
export function pace(
  before: Pace,
  seconds: ReadonlyMap<number, number>,
  isLearning: boolean,
): { readonly after: Pace; readonly bursts: readonly Burst[] } {
  const oldest = Math.min(...seconds.keys())
  const merged = new Map(before.recent.filter(([second]) => oldest - second < keptSeconds))
  for (const [second, calls] of seconds) merged.set(second, (merged.get(second) ?? 0) + calls)
  const inOrder = [...merged].sort(([a], [b]) => a - b)
  const newest = inOrder.at(-1)?.[0] ?? 0
  const peaks = new Map(before.peaks)
  const bursts: Burst[] = []
  for (const [day, { at, calls }] of busiestByDay(inOrder)) {
    const usual = Math.max(quietest, ...before.peaks.filter(([earlier]) => earlier < day).map(([, peak]) => peak))
    const isBurst = !isLearning && calls >= factor * usual
    if (isBurst) bursts.push({ at: at * 1000, calls, usual })
    // A burst teaches a doubling at most: work that really grew becomes usual within days, an attack does not at once.
    peaks.set(day, Math.max(peaks.get(day) ?? 0, isBurst ? 2 * usual : calls))
  }
  const recent = inOrder.filter(([second]) => newest - second < keptSeconds)
  const days = [...peaks].sort(([a], [b]) => a - b).slice(-keptDays)
  return { after: { recent, peaks: days }, bursts }
}

/** By day, the sixty seconds with the most calls that end in it. */
function busiestByDay(inOrder: readonly (readonly [number, number])[]) {
  const busiest = new Map<number, { readonly at: number; readonly calls: number }>()
  let first = 0
  let within = 0
  for (const [at, calls] of inOrder) {
    within += calls
    for (; (inOrder[first]?.[0] ?? at) <= at - 60; first++) within -= inOrder[first]?.[1] ?? 0
    const day = Math.floor(at / daySeconds)
    if (within > (busiest.get(day)?.calls ?? 0)) busiest.set(day, { at, calls: within })
  }
  return busiest
}
