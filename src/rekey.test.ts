import assert from 'node:assert/strict'
import { createSecretKey } from 'node:crypto'
import { sql } from 'kysely'
import { migrations } from './app.ts'
import type { Principal } from './core/action.ts'
import { Secret } from './core/secret.ts'
import { makeApprovals } from './features/approvals/approvals.ts'
import { openLog } from './features/audit/log.ts'
import { makeIdentity } from './features/identity/identity.ts'
import { goodPassword } from './features/identity/testing.ts'
import { checkRootKey } from './features/vault/keyring.ts'
import { makeVault } from './features/vault/vault.ts'
import { type Database, UnknownKey } from './lib/db/database.ts'
import { rekeyRows } from './rekey.ts'
import { boxesUnder } from './testing/boxes.ts'
import { fixedClock, testOnEach, testRootKey } from './testing/databases.ts'

const newKey = createSecretKey(Buffer.alloc(32, 9))
const thirdKey = createSecretKey(Buffer.alloc(32, 10))
const password = new Secret(goodPassword)
const reviewer: Principal = { id: 'usr_1', kind: 'user', name: 'ada', bindings: [], version: '1' }
const asker: Principal = { ...reviewer, id: 'agt_1', kind: 'agent', name: 'bot' }
/** A call with a secret in it: what is stored of it does not give its name again. */
const exact = ({ hashInput }: Pick<ReturnType<typeof makeApprovals>, 'hashInput'>, note: string) => {
  const input = { note, token: new Secret(`token of ${note}`) }
  return {
    principal: asker,
    action: 'x.y.z',
    resource: { type: 'any', id: '1' },
    inputHash: hashInput('x.y.z', input, 3),
    policyVersion: '1',
    ...{ input, revision: 3 },
  }
}

async function rooms(database: Database, rootKey = testRootKey) {
  const { now } = fixedClock()
  const vault = makeVault({ database, rootKey, now, onIntegrityFailure: (id) => assert.fail(id) })
  await vault.init()
  const log = await openLog({ database, rootKey, now })
  const identity = makeIdentity({
    database,
    rootKey,
    now,
    sessionTokenTtlMs: 60_000,
    takeLogin: () => {},
    loginSucceeded: () => {},
    takeSetup: () => {},
    onEvent: async () => {},
    onFailure: async () => {},
    resolveConnection: async (id) => id,
    isKnownScope: () => true,
    passwordCost: { memory: 64, passes: 1, parallelism: 1 },
  })
  const approvals = makeApprovals({ database, rootKey, now, ttlMs: 60_000, hashSecret: vault.fingerprint })
  return { vault, log, identity, approvals }
}

async function fill(database: Database) {
  const { vault, log, identity, approvals } = await rooms(database)
  const { id: secret } = await vault.put({ name: 'token', value: new Secret('value') })
  await vault.rotate()
  await vault.addVersion(secret, new Secret('second'))
  await log.append({ code: 'login.succeeded', principal: reviewer })
  await log.checkpoint()
  await identity.ensureAdmin({ password })
  const approval = await approvals.request(exact(approvals, 'please'))
  await approvals.review(approval, reviewer, { decision: 'approved' })
  const pending = await approvals.request(exact(approvals, 'later'))
  await log.close()
  return { secret, approval, pending, vkey: log.vkey }
}

testOnEach(
  'after a rekey everything opens with the new root key and nothing with the old one (SEC-ENC-5, claims: A41 A42)',
  migrations,
  async (database) => {
    const { secret, approval, pending, vkey } = await fill(database)

    await rekeyRows(database, { from: testRootKey, to: newKey }, fixedClock().now)
    await rekeyRows(database, { from: newKey, to: thirdKey }, fixedClock().now)

    for (const old of [testRootKey, newKey]) {
      await assert.rejects(checkRootKey(database, old), UnknownKey)
      await assert.rejects(openLog({ database, rootKey: old, now: () => new Date() }), UnknownKey)
      assert.deepEqual(await boxesUnder(database, old), [])
    }
    const { vault, log, identity, approvals } = await rooms(database, thirdKey)
    assert.equal((await vault.use(secret)).reveal(), 'second')
    assert.equal((await vault.reveal(secret, 1)).value.reveal(), 'value')
    assert.equal(log.vkey, vkey)
    const { index } = await log.append({ code: 'login.succeeded', principal: reviewer })
    assert.equal((await log.verify()).ok, true)
    assert.equal(index, 1)
    for (const _ of ['with the pepper of long ago', 'with the new one'])
      assert.ok((await identity.login({ username: 'admin', password }, '192.0.2.1')).token)
    await assertApprovalsLive(approvals, approval, pending)
    await log.close()
  },
)

/** What was approved before serves the call that it is for, once; what was asked is answered and not asked twice. */
async function assertApprovalsLive(approvals: ReturnType<typeof makeApprovals>, approved: string, pending: string) {
  const admin = { ...reviewer, bindings: [{ role: 'admin', scope: '*' }] }
  const { state, damaged, input } = await approvals.get(admin, approved)
  assert.deepEqual(
    { state, damaged, input },
    { state: 'approved', damaged: false, input: { note: 'please', token: '[secret]' } },
  )
  assert.equal(await approvals.find(exact(approvals, 'other')), undefined)
  assert.equal(await approvals.redeem(approved, exact(approvals, 'other')), false)
  const please = exact(approvals, 'please')
  assert.equal(await approvals.find(please), approved)
  assert.deepEqual([await approvals.redeem(approved, please), await approvals.redeem(approved, please)], [true, false])
  const later = exact(approvals, 'later')
  assert.equal(await approvals.request(later), pending)
  await approvals.review(pending, reviewer, { decision: 'approved' })
  assert.equal(await approvals.find(later, pending), pending)
}

testOnEach('a rekey that fails in the middle changes nothing', migrations, async (database) => {
  const { secret } = await fill(database)
  // The last room cannot do its part.
  await sql`alter table approval rename to elsewhere`.execute(database.db)

  await assert.rejects(rekeyRows(database, { from: testRootKey, to: newKey }))

  await sql`alter table elsewhere rename to approval`.execute(database.db)
  assert.deepEqual(await boxesUnder(database, newKey), [])
  const { vault, log } = await rooms(database)
  assert.equal((await vault.use(secret)).reveal(), 'second')
  assert.equal((await log.verify()).ok, true)
  await log.close()
})

testOnEach('a process that slept through a rekey wraps nothing with the old root key', migrations, async (database) => {
  const { vault, log } = await rooms(database)
  await log.close()

  await rekeyRows(database, { from: testRootKey, to: newKey })

  await assert.rejects(vault.rotate(), UnknownKey)
  await checkRootKey(database, newKey)
})
