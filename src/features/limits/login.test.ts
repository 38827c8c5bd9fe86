import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Problem } from '../../core/problem.ts'
import { fixedClock } from '../../testing/databases.ts'
import { makeLoginThrottle } from './login.ts'

const minute = 60_000
const start = () => {
  const clock = fixedClock()
  const throttle = makeLoginThrottle({ now: clock.now })
  const attempt = (name: string, from: string): number | string => {
    try {
      return throttle.take(name, from).delaySeconds
    } catch (error) {
      assert.ok(error instanceof Problem)
      return `${error.type}: ${error.detail}`
    }
  }
  return { clock, attempt, ...throttle }
}
const refused = 'rate-limited: Too many sign-in attempts'

test('ten attempts on a user from one network in 15 minutes, each after a longer delay, then none', () => {
  const { attempt, clock } = start()

  const outcomes = Array.from({ length: 12 }, () => attempt('ada', '192.0.2.1'))

  assert.deepEqual(outcomes, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, refused, refused])
  clock.forward(14 * minute)
  assert.equal(attempt('ada', '192.0.2.1'), refused)
  clock.forward(16 * minute)
  assert.notEqual(attempt('ada', '192.0.2.1'), refused)
})

const sameUser = ['Ada', 'ADA', 'ａｄａ', 'Äda'.normalize('NFD').replace('\u0308', '')]

test('spellings of one user name and one network share the ten', () => {
  const { attempt } = start()

  const outcomes = Array.from({ length: 11 }, (_, i) =>
    attempt(sameUser[i % sameUser.length]!, i % 2 ? '2001:db8::1' : '2001:0DB8:0:0:ffff::2'),
  )

  assert.equal(outcomes.filter((outcome) => outcome === refused).length, 1)
})

test('names that fold together are one name: ß and SS, composed and decomposed', () => {
  const { attempt } = start()
  const names = ['straße', 'STRASSE', 'strasse']
  const composed = ['zoë', 'zoe\u0308']

  for (let i = 0; i < 10; i++) {
    attempt(names[i % 3]!, '192.0.2.1')
    attempt(composed[i % 2]!, '192.0.2.1')
  }

  assert.deepEqual(
    [...names, ...composed].map((name) => attempt(name, '192.0.2.1')),
    Array(5).fill(refused),
  )
})

test('fifty attempts a day on one user from all networks together', () => {
  const { attempt, clock } = start()

  const outcomes = Array.from({ length: 60 }, (_, i) => attempt('ada', `198.51.100.${i}`))

  assert.deepEqual([outcomes.lastIndexOf(0), outcomes.indexOf(refused)], [49, 50])
  clock.forward(23 * 60 * minute)
  assert.equal(attempt('ada', '203.0.113.9'), refused)
})

test('a stranger cannot lock a user out of the network where that user signs in', () => {
  const { attempt, succeeded } = start()
  attempt('ada', '192.0.2.1')
  succeeded('ada', '192.0.2.1')

  for (let i = 0; i < 200; i++) attempt('ada', `198.51.100.${i % 250}`)

  assert.equal(attempt('ada', '192.0.2.1'), 0)
  assert.equal(attempt('ada', '203.0.113.7'), refused)
})

test('a known network has no more than fifty a day of its own', () => {
  const { attempt, succeeded, clock } = start()
  succeeded('ada', '192.0.2.1')

  const outcomes = Array.from({ length: 200 }, () => {
    clock.forward(6 * minute)
    return attempt('ada', '192.0.2.1')
  })

  assert.equal(outcomes.filter((outcome) => outcome !== refused).length, 50)
})

test('300 attempts an hour from one network, whatever the names', () => {
  const { attempt } = start()

  const outcomes = Array.from({ length: 10_000 }, (_, i) => attempt(`user${i}`, `2001:db8::${i.toString(16)}`))

  assert.equal(outcomes.filter((outcome) => outcome !== refused).length, 300)
})

test('attempts refused for the network or the pair do not eat the fifty of the user', () => {
  const { attempt } = start()

  for (let i = 0; i < 1000; i++) attempt('ada', '192.0.2.1')

  const elsewhere = Array.from({ length: 45 }, (_, i) => attempt('ada', `198.51.100.${i}`))
  assert.equal(elsewhere.filter((outcome) => outcome === 0).length, 40)
})

test('a right password clears the delays of that user and network only', () => {
  const { attempt, succeeded } = start()
  for (let i = 0; i < 9; i++) for (const name of ['ada', 'bob']) attempt(name, '192.0.2.1')

  succeeded('ada', '192.0.2.1')

  assert.deepEqual([attempt('ada', '192.0.2.1'), attempt('bob', '192.0.2.1')], [0, 60])
})
