import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fixedClock } from '../../testing/databases.ts'
import type { AuditEvent } from './event.ts'
import { makeRefusals } from './refusals.ts'

const refusal = (id: string, action = 'x.thing.do', outcome = 'denied'): AuditEvent => ({
  code: 'action.failed',
  principal: { id, kind: 'agent' },
  action,
  outcome,
})

function build(perMinute = 3) {
  const events: AuditEvent[] = []
  const clock = fixedClock()
  const record = async (event: AuditEvent) => void events.push(event)
  const onFault = (error: unknown) => assert.fail(String(error))
  return {
    events,
    clock,
    ...makeRefusals({ record, summary: 'action.refused-again', now: clock.now, perMinute, onFault }),
  }
}

test('so many refusals a minute are entries, and the rest is one entry with their number, kinds and times', async () => {
  const { events, clock, refused, close } = build()
  for (let i = 0; i < 10; i++) {
    await refused('a', refusal('a', i % 2 ? 'x.thing.do' : 'x.thing.see', i === 9 ? 'invalid-input' : 'denied'))
    clock.forward(1000)
  }
  clock.forward(60_000)
  await refused('a', refusal('a'))
  await close()

  assert.deepEqual(
    events.map(({ code }) => code),
    ['action.failed', 'action.failed', 'action.failed', 'action.refused-again', 'action.failed'],
  )
  assert.deepEqual(events[3], {
    code: 'action.refused-again',
    principal: { id: 'a', kind: 'agent' },
    detail: {
      count: 7,
      from: '2026-01-01T00:00:03.000Z',
      until: '2026-01-01T00:00:09.000Z',
      refused: { 'x.thing.do denied': 3, 'x.thing.see denied': 3, 'x.thing.do invalid-input': 1 },
    },
  })
})

test('one caller does not use up what another may have written', async () => {
  const { events, refused, close } = build()
  for (let i = 0; i < 100; i++) await refused('a', refusal('a'))
  await refused('b', refusal('b'))
  await close()

  const of = (id: string) => events.filter(({ principal }) => principal?.id === id).map(({ code }) => code)
  assert.deepEqual(of('b'), ['action.failed'])
  assert.deepEqual(of('a'), ['action.failed', 'action.failed', 'action.failed', 'action.refused-again'])
})

test('what is counted is written when the program stops, and the kinds that are told apart are bounded', async () => {
  const { events, refused, close } = build(0)
  for (let i = 0; i < 500; i++) await refused('a', refusal('a', `x.thing.n${i}`))
  assert.equal(events.length, 0)
  await close()

  const [summary, ...more] = events
  assert.deepEqual([summary?.detail?.['count'], more.length], [500, 0])
  const kinds = Object.entries(summary?.detail?.['refused'] as Record<string, number>)
  assert.deepEqual([kinds.length, kinds.at(-1)], [51, ['other', 450]])
})

test('a log that cannot be written refuses the refusal, too', async () => {
  const record = () => Promise.reject(new Error('disk full'))
  const { refused } = makeRefusals({ record, summary: 'auth.refused-again', now: fixedClock().now, onFault: () => {} })

  await assert.rejects(refused('a', refusal('a')), /disk full/)
})
