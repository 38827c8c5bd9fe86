import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Call } from '../../gate/invoke.ts'
import { makeCancellations } from './cancellations.ts'

const call = (id: string, tokenId: string, remoteAddress: string): Call => ({
  door: 'mcp',
  principal: { id, kind: 'user', name: id, bindings: [], tokenId, version: '1' },
  requestId: 'req_1',
  signal: new AbortController().signal,
  remoteAddress,
})
const mine = call('usr_a', 'tok_a', '192.0.2.1')

test('a cancelled notification ends the one call of the same caller with that id (INC-4)', () => {
  const others: [string, Call, string | number][] = [
    ['another principal', call('usr_b', 'tok_a', '192.0.2.1'), 1],
    ['another token', call('usr_a', 'tok_b', '192.0.2.1'), 1],
    ['another address', call('usr_a', 'tok_a', '192.0.2.2'), 1],
    ['another id', mine, 2],
    ['the id as text', mine, '1'],
  ]
  for (const [name, other, id] of others) {
    const cancellations = makeCancellations()
    const { signal } = cancellations.track(mine, 1)
    cancellations.cancel(other, id)
    assert.equal(signal.aborted, false, name)
    cancellations.cancel(mine, 1)
    assert.equal(signal.aborted, true, name)
  }
})

test('two calls with one id are not told apart, so neither is cancelled; nothing stays behind', () => {
  const cancellations = makeCancellations()
  const [one, two] = [cancellations.track(mine, 1), cancellations.track(mine, 1)]

  cancellations.cancel(mine, 1)
  assert.deepEqual([one.signal.aborted, two.signal.aborted], [false, false])
  one.done()
  cancellations.cancel(mine, 1)
  assert.deepEqual([one.signal.aborted, two.signal.aborted], [false, true])
  two.done()
  cancellations.cancel(mine, 1)

  assert.equal(cancellations.size(), 0)
})
