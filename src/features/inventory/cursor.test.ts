import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Problem } from '../../core/problem.ts'
import { decodeCursor, encodeCursor, questionOf } from './cursor.ts'

const position = { tier: 2, key: 'srv-ü"', seq: 77 }
const question = questionOf(['srv', 'name'])
const good = encodeCursor(question, position)

test('a cursor comes back as the position it was made from', () => {
  assert.deepEqual({ ...decodeCursor(question, good), question: undefined }, { ...position, question: undefined })
  assert.match(good, /^[\w-]+$/)
})

const json = JSON.parse(Buffer.from(good, 'base64url').toString())
const altered = (change: object) => Buffer.from(JSON.stringify({ ...json, ...change })).toString('base64url')

const refused: readonly [what: string, cursor: string][] = [
  ['of another query', encodeCursor(questionOf(['db', 'name']), position)],
  ['with another place', altered({ seq: 1 })],
  ['with another tier', altered({ tier: 0 })],
  ['with another key', altered({ key: 'a' })],
  [
    'renamed to this query',
    Buffer.from(
      JSON.stringify({
        ...JSON.parse(Buffer.from(encodeCursor(questionOf(['db']), position), 'base64url').toString()),
        question,
      }),
    ).toString('base64url'),
  ],
  ['with an unknown field', altered({ more: 1 })],
  ['with a number as text', altered({ seq: '77' })],
  ['cut short', good.slice(0, -6)],
  ['that is no JSON', Buffer.from('{').toString('base64url')],
  ['that is null', Buffer.from('null').toString('base64url')],
  ['that is nothing', ''],
  ['of wrong letters', '%%%'],
]

for (const [what, cursor] of refused) {
  test(`a cursor ${what} is refused`, () => {
    assert.throws(
      () => decodeCursor(question, cursor),
      (error) => error instanceof Problem && error.type === 'invalid-input' && error.faults?.[0]?.field === '/cursor',
    )
  })
}
