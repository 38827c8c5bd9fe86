import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeApp, migrations } from '../src/app.ts'
import { readConfig } from '../src/config.ts'
import { Secret } from '../src/core/secret.ts'
import { newId } from '../src/lib/ids.ts'
import { makeLog } from '../src/lib/log.ts'
import { fixedClock, freshSqlite, testRootKey } from '../src/testing/databases.ts'

const hour = 3_600_000
const day = 24 * hour
const token = 'e2e-1Zq8mW4vRt7Ky2Lx9Pb5Nc3Hd6Fg0Js'

test('the whole server tells a tenfold burst from another network within a minute, in its log and its list (claims: A37)', async (t) => {
  const clock = fixedClock()
  const app = await makeApp({
    config: readConfig({ ATLAS_API_TOKEN: token, ATLAS_RATE_LIMIT_RPM: '1000' }),
    database: await freshSqlite(t, migrations),
    rootKey: testRootKey,
    makeLog: (redact) => makeLog({ level: 'fatal', redact }),
    redact: (value) => value,
    version: '0.0.0',
    now: clock.now,
  })
  t.after(async () => {
    await app.connections.close()
    await app.identity.close()
    await app.audit.close()
  })
  await app.identity.ensureBootstrapToken(new Secret(token))
  const principal = await app.identity.authenticate(token, '10.1.2.3')
  const call = async (name: string, input: object, remoteAddress = '10.1.2.3') => {
    const signal = AbortSignal.timeout(10_000)
    return app.invoke({ door: 'http', principal, requestId: newId('req'), signal, remoteAddress }, name, input)
  }
  const anomalies = async () => {
    const { output } = (await call('identity.anomalies.list', {})) as { output: { items: { kind: string }[] } }
    return output.items.map(({ kind }) => kind).sort()
  }
  for (let at = 0; at < 8 * day; at += 8 * hour) {
    for (let i = 0; i < 3; i++) await anomalies()
    clock.forward(8 * hour)
    await app.usage.flush()
  }
  assert.deepEqual(await anomalies(), [])

  for (let i = 0; i < 40; i++) await call('identity.anomalies.list', {}, '203.0.113.9')
  clock.forward(30_000)
  await app.usage.flush()
  assert.deepEqual(await anomalies(), ['burst', 'network'])
  const { items } = await app.audit.search({ code: 'anomaly.detected' })
  assert.deepEqual(
    items.map(({ principal, detail }) => [principal?.tokenId, (detail as { kind: string }).kind]).sort(),
    [
      [principal.tokenId, 'burst'],
      [principal.tokenId, 'network'],
    ],
  )
  await app.usage.stop()
})
