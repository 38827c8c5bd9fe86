import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explain } from './explain.ts'

const cases: readonly (readonly [number, unknown, string | undefined])[] = [
  [
    403,
    { detail: 'Authentication credentials were not provided.' },
    'NetBox saw no token: a proxy may remove the Authorization header.',
  ],
  [403, { detail: 'Invalid v1 token' }, 'NetBox does not know this token.'],
  [403, { detail: 'Invalid v2 token' }, 'NetBox does not know this token.'],
  [403, { detail: 'Token expired' }, 'The NetBox token has expired.'],
  [403, { detail: 'Token disabled' }, 'The NetBox token is disabled.'],
  [403, { detail: 'User inactive' }, 'The NetBox user of this token is inactive.'],
  [
    403,
    { detail: 'Source IP 10.1.2.3 is not permitted to authenticate using this token.' },
    "The NetBox token does not allow this server's address.",
  ],
  [
    403,
    { detail: 'Invalid authorization header: Must be in the form …' },
    'NetBox cannot read the token: its form is wrong.',
  ],
  [
    403,
    { detail: 'You do not have permission to perform this action.' },
    "The NetBox token's user lacks a permission for this, or the token is read-only.",
  ],
  [412, { detail: 'Precondition failed.' }, 'The NetBox object changed since it was read.'],
  [
    409,
    { detail: 'Unable to delete object. 3 dependent objects were found: a (1), b (2), c (3)' },
    'NetBox does not delete it: 3 other objects depend on it.',
  ],
  [404, { detail: 'No Device matches the given query.' }, 'NetBox says: No Device matches the given query.'],
  [400, { status: ['"x" is not a valid choice.'] }, 'NetBox says: status: "x" is not a valid choice.'],
  [
    400,
    { name: ['This field is required.'], non_field_errors: ['Not unique.'] },
    'NetBox says: name: This field is required.; Not unique.',
  ],
  [400, [{}, { name: ['This field is required.'] }], 'NetBox says: name: This field is required.'],
  [400, ["'start' and 'offset' are mutually exclusive."], "NetBox says: 'start' and 'offset' are mutually exclusive."],
  [
    500,
    {
      error: 'connection to db01.corp.example failed for user netbox',
      exception: 'OperationalError',
      netbox_version: '4.6.8',
      python_version: '3.12',
    },
    'NetBox failed inside (OperationalError).',
  ],
  [500, { error: 'x', exception: '<script>' }, 'NetBox failed inside.'],
  [502, 'Bad gateway', undefined],
  [503, null, undefined],
  [403, {}, undefined],
  [403, [], undefined],
  [400, { '<b>': ['x'], ok: { deep: 1 } }, undefined],
]
for (const [status, body, sentence] of cases) {
  test(`A ${status} of ${JSON.stringify(body)?.slice(0, 60)} is explained`, () => {
    assert.equal(explain(status, body), sentence)
  })
}

test('No explanation holds a host, an address, a token or more than a line', () => {
  const told = [
    'see https://nb.corp.example/x?token=1 now',
    'cannot reach db01.corp.example:5432 at all',
    'from 10.1.2.3:443 refused',
    'from 2001:db8::7 refused',
    'nbt_4F9DAouzURLb.zjebxBPzICiPbWz0Wtx0fTL7bCKXKGTYhNzkgC2S',
    'token 0123456789abcdef0123456789abcdef01234567 unknown',
    'two\nlines\u0000and a null',
    `${'x'.repeat(5000)}`,
  ]

  const said = told.map((detail) => explain(400, { detail }) ?? '')

  assert.deepEqual(said.slice(0, 7), [
    'NetBox says: see [address] now',
    'NetBox says: cannot reach [name] at all',
    'NetBox says: from [address] refused',
    'NetBox says: from [address] refused',
    'NetBox says: [masked]',
    'NetBox says: token [masked] unknown',
    'NetBox says: two lines and a null',
  ])
  assert.ok((said[7] ?? '').length <= 220)
})
