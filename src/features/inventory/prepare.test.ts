import assert from 'node:assert/strict'
import { test } from 'node:test'
import { prepare } from './prepare.ts'

test('one asset is stored within bounds, whatever its system sends', () => {
  const long = 'x'.repeat(1_000_000)
  const { observation, addresses, attributes, relations, marks } = prepare({
    kind: 'host',
    externalId: long,
    name: long,
    serial: long,
    addresses: [long, ...Array.from({ length: 5_000 }, (_, n) => `10.0.${n >> 8}.${n & 255}`)],
    attributes: {
      a: 1,
      b: long,
      c: 'kept',
      ...Object.fromEntries(Array.from({ length: 50_000 }, (_, n) => [`n${n}`, n])),
    },
    relations: Array.from({ length: 50_000 }, (_, n) => ({ type: 'on', kind: 'host', externalId: String(n) })),
    machine: { hostNames: Array.from({ length: 5_000 }, (_, n) => `h${n}`) },
  })

  assert.deepEqual(
    [observation.name, observation.serial, observation.externalId].map((text) => text?.length),
    [500, 500, 500],
  )
  assert.ok(addresses.length < 20_000, String(addresses.length))
  assert.ok(attributes.length < 200_000, String(attributes.length))
  const { a, b, c } = JSON.parse(attributes)
  assert.deepEqual([a, b, c], [1, undefined, 'kept'])
  assert.equal(relations.length, 10_000)
  assert.ok(JSON.stringify(marks).length < 20_000)
})
