// The Prometheus text format, version 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/).

export type Labels = Readonly<Record<string, string>>
export type Sample = {
  readonly labels?: Labels
  readonly value: number /** `_bucket` and its like. */
  readonly end?: string
}
export type Family = {
  readonly name: string
  readonly help: string
  readonly type: 'gauge' | 'counter' | 'histogram'
  readonly samples: readonly Sample[]
}

export const metricsContentType = 'text/plain; version=0.0.4; charset=utf-8'

/** Families as text. One without samples is left out: nothing is better than a nought that nobody measured. */
export function formatMetrics(families: readonly Family[]): string {
  return families
    .filter(({ samples }) => samples.length > 0)
    .map(({ name, help, type, samples }) =>
      [
        `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`,
        `# TYPE ${name} ${type}`,
        ...samples.map(({ labels, value, end = '' }) => `${name}${end}${formatLabels(labels)} ${formatValue(value)}`),
        '',
      ].join('\n'),
    )
    .join('')
}

export type Counter = { add(labels: Labels, by?: number): void; family(): Family }

/** Counts by labels. `most` label sets are kept, so that no caller's words can fill the memory; what is beyond is not counted. */
export function makeCounter(name: string, help: string, most = 5_000): Counter {
  const values = new Map<string, { labels: Labels; value: number }>()
  return {
    add(labels, by = 1) {
      const key = formatLabels(labels)
      const known = values.get(key)
      if (known) known.value += by
      else if (values.size < most) values.set(key, { labels, value: by })
    },
    family: () => ({ name, help, type: 'counter', samples: [...values.values()] }),
  }
}

export type Histogram = { observe(labels: Labels, value: number): void; family(): Family }

/** How often a value was at most as large as each of `bounds`, by labels. */
export function makeHistogram(name: string, help: string, bounds: readonly number[]): Histogram {
  const values = new Map<string, { labels: Labels; counts: number[]; sum: number; count: number }>()
  return {
    observe(labels, value) {
      const key = formatLabels(labels)
      const one = values.get(key) ?? { labels, counts: bounds.map(() => 0), sum: 0, count: 0 }
      values.set(key, one)
      for (const [i, bound] of bounds.entries()) if (value <= bound) one.counts[i] = (one.counts[i] ?? 0) + 1
      one.sum += value
      one.count += 1
    },
    family: () => ({
      name,
      help,
      type: 'histogram',
      samples: [...values.values()].flatMap(({ labels, counts, sum, count }) => [
        ...bounds.map((bound, i) => ({
          end: '_bucket',
          labels: { ...labels, le: String(bound) },
          value: counts[i] ?? 0,
        })),
        { end: '_bucket', labels: { ...labels, le: '+Inf' }, value: count },
        { end: '_sum', labels, value: sum },
        { end: '_count', labels, value: count },
      ]),
    }),
  }
}

function formatLabels(labels: Labels = {}): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

/** What a person named must not end its line or its quotes, nor write to a terminal. */
function escapeLabel(value: string): string {
  return value
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, (char) => (char === '\n' ? char : '\ufffd'))
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('\n', '\\n')
}

function formatValue(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  return String(value)
}
