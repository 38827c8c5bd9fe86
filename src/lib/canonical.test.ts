import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Secret } from '../core/secret.ts'
import { canonicalJson } from './canonical.ts'

// The example of RFC 8785 §3.2.2, and §3.2.3 for the order of members.
const facts: [unknown, string][] = [
  [
    {
      numbers: [Number('333333333.33333329'), 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
      string: '€$\u000f\nA\'B"\\\\"/',
      literals: [null, true, false],
    },
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
  ],
  [
    { '€': 1, '\r': 2, '\ufb33': 3, '1': 4, '😀': 5, '\u0080': 6, ö: 7 },
    '{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"😀":5,"\ufb33":3}',
  ],
  [{ b: undefined, a: -0 }, '{"a":0}'],
  [{ secret: new Secret('planted') }, '{"secret":"[secret]"}'],
  [{}, '{}'],
  [[], '[]'],
]

for (const [value, text] of facts)
  test(`canonical JSON: ${text.slice(0, 40)}`, () => assert.equal(canonicalJson(value), text))

for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 1n, () => 1, { a: '\ud800' }, { '\udc00': 1 }, [undefined]])
  test(`canonical JSON: ${typeof value} ${String(typeof value === 'object' ? 'with a part' : value)} without a form is refused`, () => {
    assert.throws(() => canonicalJson(value), TypeError)
  })

test('canonical JSON is JSON, and the order of members does not change it', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const reversed = Object.fromEntries(Object.entries(value).reverse())
      const text = canonicalJson(value)
      assert.equal(canonicalJson(reversed), text)
      assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)))
    }),
  )
})
