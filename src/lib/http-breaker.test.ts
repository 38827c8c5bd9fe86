import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fixedClock } from '../testing/databases.ts'
import { type Health, makeBreaker, makeSlots } from './http-breaker.ts'

type Step = Health | 'refused' | 'wait'
const cases: readonly { readonly title: string; readonly steps: readonly Step[] }[] = [
  { title: 'opens after three failures in a row', steps: ['failed', 'failed', 'failed', 'refused', 'refused'] },
  {
    title: 'one good answer starts the count again',
    steps: ['failed', 'failed', 'alive', 'failed', 'failed', 'alive'],
  },
  { title: 'neutral outcomes do not count', steps: ['failed', 'failed', 'neutral', 'neutral', 'failed', 'refused'] },
  { title: 'a good probe closes it', steps: ['failed', 'failed', 'failed', 'wait', 'alive', 'failed', 'alive'] },
  { title: 'a bad probe opens it again', steps: ['failed', 'failed', 'failed', 'wait', 'failed', 'refused'] },
]

for (const { title, steps } of cases)
  test(`the circuit breaker: ${title}`, () => {
    const clock = fixedClock()
    const breaker = makeBreaker({ failures: 3, openMs: 30_000 }, clock.now)
    for (const step of steps)
      if (step === 'wait') clock.forward(30_000)
      else if (step === 'refused')
        assert.throws(() => breaker.enter(), { type: 'upstream-busy', retryAfterSeconds: 30 })
      else breaker.enter()(step)
  })

test('while one call probes, others are still refused', () => {
  const clock = fixedClock()
  const breaker = makeBreaker({ failures: 1, openMs: 1000 }, clock.now)
  breaker.enter()('failed')
  clock.forward(1000)

  const leave = breaker.enter()
  assert.throws(() => breaker.enter(), { type: 'upstream-busy' })
  leave('alive')
  breaker.enter()('alive')
})

test('slots let so many in, then one for one in order, and an aborted waiter leaves the queue', async () => {
  const take = makeSlots(1)
  const never = new AbortController().signal
  const gone = new AbortController()
  const order: string[] = []
  const first = await take(never)
  const second = take(gone.signal).catch(() => order.push('gone'))
  const third = take(never).then((leave) => {
    order.push('third')
    leave()
  })
  gone.abort()
  await second
  first()
  first()
  await third
  const again = await take(never)
  again()

  assert.deepEqual(order, ['gone', 'third'])
  await assert.rejects(take(gone.signal))
})
