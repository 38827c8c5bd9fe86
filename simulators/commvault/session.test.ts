import assert from 'node:assert/strict'
import { request } from 'node:https'
import { type TestContext, test } from 'node:test'
import { commvault } from '../../src/connectors/commvault/index.ts'
import { Problem } from '../../src/core/problem.ts'
import { connectTo } from '../../src/testing/connector.ts'
import { makeCompany } from '../lib/company.ts'
import { movableClock } from '../lib/server.ts'
import { startCommvault } from './start.ts'

// Signing in to Commvault, and everything that can go wrong on the way.

const minutes = 60_000
const small = makeCompany({ devices: 24, vms: 12 })

async function start(t: TestContext) {
  const clock = movableClock()
  const cv = await startCommvault({ truth: small, clock })
  t.after(cv.stop)
  const connect = (credential: Readonly<Record<string, string>> = cv.credential, config: object = {}) =>
    connectTo(t, commvault, {
      config: { ...cv.config, ...config },
      credential,
      caPem: cv.caPem,
      now: clock.now,
      limits: { headersMs: 200 },
    })
  return { cv, clock, connect, logins: () => cv.requests.filter(({ path }) => path.endsWith('/Login')).length }
}

test('One login serves all requests, also those made at once', async (t) => {
  const { connect, logins } = await start(t)
  const { check } = connect()

  await Promise.all([check(), check(), check()])

  assert.equal(logins(), 1)
})

test('A session that the server forgot is replaced and the request sent once more', async (t) => {
  const { cv, connect, logins } = await start(t)
  const { check } = connect()
  await check()
  cv.accounts.forget()

  assert.equal((await check()).version, '11.40.2')
  assert.equal(logins(), 2)
  assert.equal(cv.requests.filter(({ status }) => status === 401).length, 1)
})

test('A login that idled for more than 30 minutes is replaced', async (t) => {
  const { cv, clock, connect, logins } = await start(t)
  const { check } = connect()
  await check()
  clock.forward(31 * minutes)

  await check()

  assert.equal(logins(), 2)
  assert.equal(cv.requests.filter(({ status }) => status === 401).length <= 1, true)
})

test('Signing out ends the login at the server', async (t) => {
  const { cv, connect } = await start(t)
  const { check, signOut } = connect()
  await check()
  assert.equal(cv.accounts.openLogins(), 1)

  await signOut()

  assert.equal(cv.accounts.openLogins(), 0)
})

test('A wrong password is a refusal with status 200, and the locked account is told as that', async (t) => {
  const { cv, connect } = await start(t)
  const { check } = connect({ ...cv.credential, password: 'wrong' })
  const refusals = []
  for (let n = 0; n < 6; n++) refusals.push(await check().catch((error: unknown) => error))

  const [first, last] = [refusals[0], refusals[5]] as Problem[]
  assert.deepEqual(
    [first?.type, first?.detail],
    [
      'upstream-denied',
      'Commvault refused the user name or the password. Store the right ones; every further try counts against the account.',
    ],
  )
  assert.deepEqual(
    [last?.type, last?.detail],
    ['upstream-denied', 'The Commvault account is locked for another 5 minutes.'],
  )
  assert.equal(
    cv.requests.every(({ status }) => status === 200),
    true,
  )
})

test('A pair of tokens is renewed before it is used, again when it ends, and both new values are kept', async (t) => {
  const { cv, clock, connect } = await start(t)
  const first = cv.createToken()
  const { check, credential } = connect(first)

  await check()
  const second = [credential['accessToken']?.reveal(), credential['refreshToken']?.reveal()]
  clock.forward(45 * minutes)
  await check()
  const third = [credential['accessToken']?.reveal(), credential['refreshToken']?.reveal()]

  assert.equal(new Set([first.accessToken, first.refreshToken, ...second, ...third]).size, 6)
  const renewals = cv.requests.filter(({ path }) => path.endsWith('/V4/AccessToken/Renew'))
  assert.deepEqual(
    renewals.map(({ status }) => status),
    [200, 200],
  )
})

test('Calls at the same time renew a pair once, so that its chain survives', async (t) => {
  const { cv, connect } = await start(t)
  const { check } = connect(cv.createToken())

  await Promise.all([check(), check(), check(), check()])
  await check()

  assert.equal(cv.requests.filter(({ path }) => path.endsWith('/Renew')).length, 1)
})

test('An older pair that is used again ends the chain, and the refusal says what to do', async (t) => {
  const { cv, connect } = await start(t)
  const pair = cv.createToken()
  const holder = connect(pair)
  await holder.check()

  const refused = { type: 'upstream-denied', detail: /Create a new one and store both its tokens\.$/ }
  await assert.rejects(connect(pair).check(), refused)
  // The holder of the newest pair lost it too: that is what Commvault does.
  await assert.rejects(holder.check(), refused)
})

test('An access token is never sent to Logout', async (t) => {
  const { cv, connect } = await start(t)
  const { check, signOut } = connect(cv.createToken())
  await check()

  await assert.rejects(signOut(), { type: 'upstream-denied' })
  await check()
})

test('A renewal that never arrived is made up for', async (t) => {
  const { cv, connect } = await start(t)
  cv.fault({ kind: 'drop', path: '/commandcenter/api/V4/' })

  assert.equal((await connect(cv.createToken()).check()).version, '11.40.2')
})

test('When the answer to a renewal is lost, the refusal says that new tokens are needed', async (t) => {
  const { cv, connect } = await start(t)
  cv.fault({ kind: 'reset', path: '/commandcenter/api/V4/' })

  await assert.rejects(connect(cv.createToken()).check(), { type: 'upstream-denied', detail: /Create a new one/ })
})

const api = '/commandcenter/api'
const passing = [
  { kind: '429', count: 2, retryAfter: 0 },
  { kind: '503', count: 2 },
  { kind: 'reset', count: 2 },
  { kind: 'drop', count: 2 },
  { kind: 'slow', count: 1, ms: 50 },
  { kind: 'empty-body', count: 2 },
]
for (const fault of passing) {
  for (const path of [`${api}/Jobs`, `${api}/VM`]) {
    test(`A sync gets over ${fault.kind} at ${path.slice(api.length)}`, async (t) => {
      const { cv, connect } = await start(t)
      const whole = (await connect().sync()).observations.length
      cv.fault({ path, ...fault })

      assert.equal((await connect().sync()).observations.length, whole)
      assert.deepEqual(cv.faults.planned, [])
    })
  }
}

const ending = [
  { kind: 'html', type: 'upstream-invalid', detail: /html instead of JSON/ },
  { kind: 'malformed', type: 'upstream-invalid', detail: /not valid JSON/ },
  { kind: 'redirect', type: 'upstream-invalid', detail: /redirect/ },
  { kind: 'empty-body', count: 99, type: 'upstream-invalid', detail: /empty body/ },
  { kind: 'same-page', count: 99, type: 'upstream-invalid', detail: /twice/ },
  { kind: 'lost-rows', type: 'upstream-invalid', detail: /announces more jobs than it sends/ },
  { kind: 'denied', type: 'upstream-denied', detail: /lacks a permission/ },
  { kind: 'failed', type: 'upstream-failed', detail: /^Commvault did not do this: error code 587204\.$/ },
  { kind: '500', type: 'upstream-failed', detail: /500/ },
  { kind: '401', count: 99, type: 'upstream-denied', detail: /does not accept the session/ },
  { kind: '403', type: 'upstream-denied', detail: /403/ },
  { kind: '404', type: 'not-found', detail: /apiPath/ },
  { kind: '503', count: 99, type: 'upstream-busy', detail: /503/ },
  { kind: '429', count: 99, retryAfter: 3600, type: 'upstream-busy', detail: /429/ },
  { kind: 'hang', count: 99, type: 'upstream-timeout', detail: /too long/ },
  { kind: 'reset', count: 99, type: 'upstream-unreachable', detail: /broke/ },
] as const
for (const { type, detail, ...fault } of ending) {
  test(`A sync ends in ${type} on ${fault.kind}${'count' in fault ? ' that does not stop' : ''} (claims: D30)`, async (t) => {
    const { cv, connect } = await start(t)
    cv.fault({ path: `${api}/Jobs`, ...fault })

    await assert.rejects(connect(cv.credential, { pageSize: 10 }).sync(), (error) => {
      assert.ok(error instanceof Problem, String(error))
      assert.equal(error.type, type)
      assert.match(String(error.detail), detail)
      assert.doesNotMatch(error.message, /127\.0\.0\.1|localhost|QSDK|https?:|example\.net/)
      return true
    })
  })
}

for (const [kind, detail] of [
  ['same-page', /twice/],
  ['lost-rows', /announces more virtual machines than it sends/],
] as const) {
  test(`Pages of virtual machines with ${kind} end the sync`, async (t) => {
    const { cv, connect } = await start(t)
    cv.fault({ kind, path: `${api}/VM`, count: 99 })

    await assert.rejects(connect(cv.credential, { pageSize: 5 }).sync(), { type: 'upstream-invalid', detail })
  })
}

const signingIn = [
  ['Login', 'empty-body', 'upstream-invalid', /login with an empty body/],
  ['Login', 'no-token', 'upstream-denied', /login without a token/],
  ['Login', 'html', 'upstream-invalid', /html instead of JSON/],
  ['V4/', 'empty-body', 'upstream-invalid', /renewal of the access token with nothing/],
  ['V4/', 'malformed', 'upstream-invalid', /not valid JSON/],
] as const
for (const [path, kind, type, detail] of signingIn) {
  test(`Signing in at ${path} ends in ${type} on ${kind}`, async (t) => {
    const { cv, connect } = await start(t)
    cv.fault({ kind, path: `${api}/${path}` })

    await assert.rejects(connect(path === 'Login' ? cv.credential : cv.createToken()).check(), { type, detail })
  })
}

test('The simulator speaks XML to whoever does not ask for JSON', async (t) => {
  const { cv } = await start(t)
  const type = await new Promise<string | undefined>((resolve, reject) => {
    const sent = request(`${cv.url}${api}/Login`, { method: 'POST', ca: cv.caPem }, (response) => {
      response.resume()
      resolve(response.headers['content-type'])
    })
    sent.on('error', reject)
    sent.end('{}')
  })

  assert.equal(type, 'application/xml')
})

test('The older address of the API works when it is set', async (t) => {
  const { cv, connect } = await start(t)

  assert.equal((await connect(cv.credential, { apiPath: '/webconsole/api' }).check()).version, '11.40.2')
  assert.ok(cv.requests.every(({ path }) => path.startsWith('/webconsole/api/')))
})

test('A CommServe whose certificate is of another authority is not spoken to (claims: D12 D28)', async (t) => {
  const { cv } = await start(t)
  const other = await startCommvault({ truth: small })
  t.after(other.stop)
  const { check } = connectTo(t, commvault, { config: cv.config, credential: cv.credential, caPem: other.caPem })

  await assert.rejects(check(), { type: 'upstream-untrusted' })
  assert.deepEqual(cv.requests, [])
})

test('The check warns of an old release and of an account that sees no storage', async (t) => {
  const old = await startCommvault({ truth: small, release: '24' })
  t.after(old.stop)
  const { check } = connectTo(t, commvault, { config: old.config, credential: old.credential, caPem: old.caPem })

  assert.deepEqual(await check(), {
    version: '11.24.2',
    warnings: ['Feature release 24 is older than 32: it may work, but nobody tried.'],
  })
})
