import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explain } from './explain.ts'

const refused = {
  type: 'upstream-denied',
  detail:
    "The VPSA refused the access key. Take the key of the connection's user from the VPSA (it changes when it is reset) and set it here.",
}
const failed = (status: unknown, more: object) => ({ response: { status, ...more } })
const gone = { type: 'not-found', detail: 'The VPSA says (status 10081): Volume volume-00000099 not found' }

const cases: readonly (readonly [string, number, unknown, unknown])[] = [
  ['success', 200, { response: { status: 0, volumes: [] } }, undefined],
  ['success as text', 200, { response: { status: '0' } }, undefined],
  ['success with a message', 200, { response: { status: 0, message: 'Volume created' } }, undefined],
  ['success without an envelope', 200, { status: 'success', message: 'done' }, undefined],
  ['a wrong key', 200, failed(5, { 'status-msg': 'Invalid credentials' }), refused],
  ['a wrong key, the status as text', 200, failed('5', {}), refused],
  ['a wrong key by HTTP', 401, '<html>Unauthorized</html>', refused],
  ['message', 200, failed(10081, { message: 'Volume volume-00000099 not found' }), gone],
  ['status-msg', 200, failed(10081, { 'status-msg': 'Volume volume-00000099 not found' }), gone],
  ['status_msg', 200, failed(10081, { status_msg: 'Volume volume-00000099 not found' }), gone],
  [
    'a known status in other words',
    200,
    failed(10086, {}),
    { type: 'not-found', detail: 'The VPSA says (status 10086): no reason.' },
  ],
  [
    'errors',
    200,
    failed(1, { errors: [{ message: 'Internal error' }] }),
    { type: 'upstream-failed', detail: 'The VPSA says (status 1): Internal error' },
  ],
  [
    'errors beside status 0',
    200,
    failed(0, { errors: [{ message: 'Pool is busy' }] }),
    { type: 'conflict', detail: 'The VPSA says (status 0): Pool is busy' },
  ],
  [
    'no envelope',
    200,
    { 'status-msg': 'The system is upgrading' },
    { type: 'upstream-failed', detail: 'The VPSA says: The system is upgrading' },
  ],
  [
    'no envelope, with a status word',
    200,
    { status: 'error', message: 'Bad request' },
    { type: 'upstream-failed', detail: 'The VPSA says: Bad request' },
  ],
  [
    'attached',
    200,
    failed(10120, { message: 'Volume volume-00000001 is attached to servers' }),
    { type: 'conflict', detail: 'The VPSA says (status 10120): Volume volume-00000001 is attached to servers' },
  ],
  [
    'a missing role',
    200,
    failed(6, { message: 'User is not authorized to perform this operation' }),
    {
      type: 'upstream-denied',
      detail:
        "The VPSA says (status 6): User is not authorized to perform this operation The access key's user lacks a role for this.",
    },
  ],
  ['a page that is not there', 404, '<html>Not Found</html>', undefined],
  ['a proxy', 502, 'Bad gateway', undefined],
  ['nothing', 200, null, undefined],
  ['a list', 200, [1], undefined],
]
for (const [title, status, body, said] of cases) {
  test(`Explained: ${title}`, () => {
    assert.deepEqual(explain(status, body), said)
  })
}

test('No explanation repeats a host, an address, a path or a secret', () => {
  const told: readonly (readonly [string, string])[] = [
    ['Cannot reach vc-1.corp.example on 10.1.2.3:3260', 'Cannot reach - on -'],
    ['See https://vsa.example.net/x?key=1 for help', 'something about a credential.'],
    ['CHAP secret abcdefghijkl is too short', 'something about a credential.'],
    ['Invalid password hunter', 'something about a credential.'],
    ['file /var/lib/x not readable', 'file - not readable'],
    ['two\r\nlines <script>alert(1)</script>', 'two lines -'],
    ['a1b2c3d4e5f6a7b8 0123456789 unknown', '- - unknown'],
  ]
  assert.deepEqual(
    told.map(([message]) => [message, explain(200, failed(1, { message }))]),
    told.map(([message, words]) => [
      message,
      { type: 'upstream-failed', detail: `The VPSA says (status 1): ${words}` },
    ]),
  )
})
