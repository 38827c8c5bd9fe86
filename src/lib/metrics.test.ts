import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatMetrics, makeCounter, makeHistogram } from './metrics.ts'

test('families are written in the text format, and one without samples is left out', () => {
  const text = formatMetrics([
    {
      name: 'a',
      help: 'One\nline \\',
      type: 'gauge',
      samples: [{ value: 1.5 }, { labels: { x: 'y' }, value: Number.POSITIVE_INFINITY }],
    },
    { name: 'b', help: 'None', type: 'gauge', samples: [] },
  ])

  assert.equal(text, '# HELP a One\\nline \\\\\n# TYPE a gauge\na 1.5\na{x="y"} +Inf\n')
})

for (const [what, value, written] of [
  ['quotes and backslashes', 'a"b\\c', 'a\\"b\\\\c'],
  ['a line break', 'a\nb', 'a\\nb'],
  ['a carriage return', 'a\rb', 'a\ufffdb'],
  ['U+2028', 'a\u2028b', 'a\ufffdb'],
  ['a terminal sequence', '\u001b[2Ja', '\ufffd[2Ja'],
] as const)
  test(`${what} in a name cannot leave its label (AUD-6)`, () => {
    const text = formatMetrics([
      { name: 'a', help: 'h', type: 'gauge', samples: [{ labels: { name: value }, value: 1 }] },
    ])

    assert.equal(text.split('\n')[2], `a{name="${written}"} 1`)
  })

test('a counter counts by labels, and callers cannot make it grow without end', () => {
  const counter = makeCounter('calls_total', 'Calls.', 2)
  for (const action of ['x', 'x', 'y', 'z']) counter.add({ action })

  assert.deepEqual(counter.family().samples, [
    { labels: { action: 'x' }, value: 2 },
    { labels: { action: 'y' }, value: 1 },
  ])
})

test('a histogram has cumulative buckets, the sum and the count', () => {
  const histogram = makeHistogram('seconds', 'Seconds.', [1, 2])
  for (const value of [0.5, 1, 1.5, 9]) histogram.observe({ door: 'http' }, value)

  assert.deepEqual(formatMetrics([histogram.family()]).trim().split('\n').slice(2), [
    'seconds_bucket{door="http",le="1"} 2',
    'seconds_bucket{door="http",le="2"} 3',
    'seconds_bucket{door="http",le="+Inf"} 4',
    'seconds_sum{door="http"} 12',
    'seconds_count{door="http"} 4',
  ])
})
