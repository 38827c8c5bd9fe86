import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Secret } from '../../../core/secret.ts'
import { fixedClock } from '../../../testing/databases.ts'
import type { ReferenceOf } from './reference.ts'
import { keepMs, makeReferences } from './resolver.ts'
import { type Source, toValue, Unreadable } from './source.ts'

/** A place that a test changes while it is read; fields of one path come from one reading. */
function world() {
  const clock = fixedClock()
  const place = { value: 'first', fails: false, fetched: 0, forgotten: 0, wait: undefined as Promise<void> | undefined }
  const vault: Source<ReferenceOf<'vault'>> = {
    refusal: () => undefined,
    documentOf: ({ path }) => path,
    async fetch() {
      place.fetched++
      const { value, fails } = place
      await place.wait
      if (fails) throw new Unreadable('it does not answer')
      return { valueOf: (reference) => toValue('field' in reference ? `${value} ${reference.field}` : undefined) }
    },
    async forget() {
      place.forgotten++
    },
  }
  const references = makeReferences({ sources: { vault }, now: clock.now })
  const read = async (field = 'token', path = 'secret/a') => {
    try {
      return (await references.read(`vault://${path}#${field}`)).value.reveal()
    } catch (error) {
      return (error as Error).message
    }
  }
  return { clock, place, references, read }
}

test('a value that changes at its place is seen after a minute, in all its fields at once (claims: C33 A36)', async () => {
  const { clock, place, read } = world()
  assert.equal(await read(), 'first token')
  place.value = 'second'
  clock.forward(keepMs - 1)
  assert.deepEqual([await read(), await read('user')], ['first token', 'first user'])
  clock.forward(1)
  assert.deepEqual([await read('user'), await read(), place.fetched], ['second user', 'second token', 2])
})

test('many who want a value at once ask its place once', async () => {
  const { place, read } = world()
  const gate = Promise.withResolvers<void>()
  place.wait = gate.promise
  const all = Promise.all(Array.from({ length: 50 }, (_, i) => read(`f${i % 2}`)))
  gate.resolve()
  assert.deepEqual([new Set(await all), place.fetched], [new Set(['first f0', 'first f1']), 1])
})

test('a failure is not kept, and no older value stands in for it', async () => {
  const { clock, place, read } = world()
  assert.equal(await read(), 'first token')
  clock.forward(keepMs)
  place.fails = true
  assert.equal(await read(), 'vault://secret/a#token: it does not answer')
  assert.equal(await read(), 'vault://secret/a#token: it does not answer')
  place.fails = false
  assert.equal(await read(), 'first token')
  assert.equal(place.fetched, 4)
})

test('a clock that was set back does not keep a value for long', async () => {
  const { clock, place, read } = world()
  await read()
  place.value = 'second'
  clock.forward(-keepMs)
  assert.equal(await read(), 'second token')
})

test('a value that a system refused is read anew, but not again and again (claims: A36)', async () => {
  const { clock, place, references, read } = world()
  const changed = (than: string) => references.hasChanged('vault://secret/a#token', new Secret(than))
  await read()
  place.value = 'second'
  assert.equal(await changed('first token'), false, 'it was read a moment ago')
  clock.forward(5_000)
  assert.equal(await changed('first token'), true)
  assert.deepEqual([await read(), place.fetched, place.forgotten], ['second token', 2, 1])
  // Somebody who still holds the older one learns it from what was just read.
  assert.equal(await changed('first token'), true)
  clock.forward(5_000)
  assert.equal(await changed('second token'), false, 'the refusal had another reason')
  assert.equal(place.fetched, 3)
})

test('at most 1,000 places are kept, those read last', async () => {
  const { place, read } = world()
  for (let i = 0; i <= 1_000; i++) await read('token', `secret/${i}`)
  await read('token', 'secret/1')
  assert.equal(place.fetched, 1_001)
  await read('token', 'secret/0')
  assert.equal(place.fetched, 1_002)
})

test('values that nobody reads any more are not kept in memory', async () => {
  const { clock, place, references, read } = world()
  await read()
  clock.forward(keepMs)
  await references.tend()
  clock.forward(-keepMs)
  // Were it still there, it would be young enough by now.
  await read()
  assert.equal(place.fetched, 2)
})
