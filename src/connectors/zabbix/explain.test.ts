import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explain } from './explain.ts'

const failed = (code: number, data: string, more = {}) => ({
  jsonrpc: '2.0',
  error: { code, message: 'x', data, ...more },
  id: 1,
})

const cases: readonly (readonly [number, string, string, string, boolean?])[] = [
  [
    -32602,
    'Session terminated, re-login, please.',
    'upstream-denied',
    'Zabbix ended the session: sign-in works, but the session is not accepted.',
    true,
  ],
  [
    -32602,
    'Not authorized.',
    'upstream-denied',
    'Zabbix does not know this API token, or the token or its user is disabled. Create a new token.',
    true,
  ],
  [
    -32602,
    'Not authorised.',
    'upstream-denied',
    'Zabbix does not know this API token, or the token or its user is disabled. Create a new token.',
    true,
  ],
  [
    -32600,
    'Invalid parameter "/": unexpected parameter "auth".',
    'upstream-denied',
    'This Zabbix does not take the credential in the body.',
    true,
  ],
  [-32500, 'API token expired.', 'upstream-denied', 'The Zabbix API token has expired. Create a new one.'],
  [
    -32500,
    'Incorrect user name or password or account is temporarily blocked.',
    'upstream-denied',
    'Zabbix refused the user name or password, or blocks the account for a while after failed sign-ins.',
  ],
  [
    -32602,
    'No permissions to call "host.get".',
    'upstream-denied',
    'The role of the Zabbix account may not call host.get.',
  ],
  [
    -32602,
    'No permissions to call "https://evil.example/".',
    'upstream-denied',
    'The role of the Zabbix account may not call this method.',
  ],
  [
    -32602,
    'Incorrect value for field "action": no permissions to acknowledge problems.',
    'upstream-denied',
    'The role of the Zabbix account lacks the action "Acknowledge problems".',
  ],
  [
    -32602,
    'Incorrect value for field "action": no permissions to add problem comments.',
    'upstream-denied',
    'The role of the Zabbix account lacks the action "Add problem comments".',
  ],
  [
    -32500,
    'No permissions to referred object or it does not exist!',
    'not-found',
    'Zabbix has no such object, or the account may not see it or change it.',
  ],
  [
    -32602,
    'Maintenance "Night \u0000 10.0.0.1" already exists.',
    'conflict',
    'Zabbix already has an object with this name.',
  ],
  [1, 'Zabbix is under maintenance.', 'upstream-busy', 'The Zabbix web interface is under maintenance.'],
  [1, '', 'upstream-failed', 'The Zabbix web interface is not set up or cannot reach its database.'],
  [
    -32601,
    'Incorrect API "foo".',
    'upstream-failed',
    'Zabbix does not know a method that is needed: versions before 6.0 are not supported.',
  ],
  [
    -32600,
    'Invalid parameter "/": unexpected parameter "x".',
    'upstream-failed',
    'Zabbix refused the form of the request.',
  ],
  [
    -32602,
    'Invalid parameter "/output": password db01.corp.example',
    'upstream-failed',
    'Zabbix refused the parameters of the request.',
  ],
  [-32700, 'Invalid JSON.', 'upstream-failed', 'Zabbix could not read the request: a proxy may change it.'],
  [
    -32500,
    'SQL statement execution has failed "SELECT passwd FROM users".',
    'upstream-failed',
    'Zabbix failed inside (code -32500).',
  ],
]
for (const [code, data, type, detail, sessionOver] of cases) {
  test(`The error ${code} "${data.slice(0, 50).replaceAll('\0', ' ')}" is ${type}, in our words`, () => {
    const debug = [{ file: '/usr/share/zabbix/x.php', args: ['secret'] }]
    assert.deepEqual(explain(200, failed(code, data, { debug })), { type, detail, ...(sessionOver && { sessionOver }) })
  })
}

test('What has no error in it is not explained', () => {
  const bodies = [
    { jsonrpc: '2.0', result: [], id: 1 },
    null,
    [],
    'Bad gateway',
    { error: 'x' },
    { error: { code: 'x' } },
  ]
  assert.deepEqual(
    bodies.map((body) => explain(200, body)),
    bodies.map(() => undefined),
  )
})
