import assert from 'node:assert/strict'
import { Problem } from '../../core/problem.ts'
import { testOnEach } from '../../testing/databases.ts'
import { credentialOf, makeToyRoom, startToy, toyCa, toyMigrations, toyToken } from '../../testing/toy-system.ts'

const nextToken = 'toy-token-next-9876543'

/** The type and detail of a refusal, or what came instead. */
async function refusal(run: Promise<unknown>): Promise<unknown> {
  try {
    return await run
  } catch (error) {
    assert.ok(error instanceof Problem, String(error))
    return error.faults?.map(({ field, rule }) => `${field}: ${rule}`) ?? `${error.type}: ${error.detail}`
  }
}

testOnEach(
  'a credential changes without a gap: staged, tried, promoted (claims: A8 A36)',
  toyMigrations,
  async (database, t) => {
    const system = await startToy(t)
    const { connections, vault, clock } = await makeToyRoom(t, database)
    const { nextCredential, check } = connections
    const { id } = await connections.add({
      connector: 'toy',
      name: 'Toy',
      config: { url: system.url },
      credential: credentialOf(connections, { token: toyToken }),
      caCertificate: toyCa,
      schedule: null,
    })
    const next = (token: string) => nextCredential.stage(id, credentialOf(connections, { token }))
    const none = 'conflict: No credential is staged for this connection'
    for (const run of [nextCredential.check, nextCredential.promote, nextCredential.discard])
      assert.equal(await refusal(run(id)), none)

    // The system does not know it yet: it can be staged, and nothing but its own check fails.
    assert.deepEqual(await next(nextToken), ['token'])
    const early = await nextCredential.check(id)
    assert.deepEqual([early.ok, early.problem?.type, early.fields], [false, 'upstream-denied', ['token']])
    assert.equal(
      await refusal(nextCredential.promote(id)),
      `conflict: The staged credential does not work, so nothing was changed: ${early.problem?.detail}`,
    )
    assert.equal((await check(id)).ok, true)
    assert.equal((await connections.get(id)).lastCheck?.ok, true)

    // Now the system knows it, and for this toy no longer the old one.
    system.token = nextToken
    clock.forward(80 * 86_400_000)
    assert.equal((await check(id)).ok, false)
    assert.deepEqual(await next(nextToken), ['token'])
    assert.equal((await nextCredential.check(id)).ok, true)
    assert.equal((await check(id)).ok, false)
    const dueBefore = (await connections.witnesses())[0]?.credentialDueAt
    assert.equal((await nextCredential.promote(id)).ok, true)
    assert.equal((await check(id)).ok, true)
    assert.deepEqual(
      [dueBefore, (await connections.witnesses())[0]?.credentialDueAt],
      ['2026-04-01T00:00:00.000Z', '2026-06-20T00:00:00.000Z'],
    )
    assert.equal(await refusal(nextCredential.promote(id)), none)

    await next('thrown-away-token')
    assert.deepEqual(await nextCredential.discard(id), ['token'])
    assert.equal((await check(id)).ok, true)
    const { items } = await vault.list({ limit: 9, owner: id })
    assert.deepEqual(
      items.map(({ version, stagedVersion }) => [version, stagedVersion]),
      [[3, null]],
    )
  },
)

testOnEach(
  'only fields that are set can be staged, with values that the connector takes',
  toyMigrations,
  async (database, t) => {
    const system = await startToy(t)
    const { connections } = await makeToyRoom(t, database)
    const { id } = await connections.add({
      connector: 'toy',
      name: 'Toy',
      config: { url: system.url },
      credential: credentialOf(connections, { token: toyToken }),
      caCertificate: toyCa,
      schedule: null,
    })
    const stage = (fields: Record<string, string>) =>
      refusal(connections.nextCredential.stage(id, credentialOf(connections, fields)))

    assert.deepEqual(await stage({ second: 'long-enough' }), [
      '/credential/second: is not set yet; edit the connection instead',
    ])
    assert.deepEqual(await stage({ token: 'short' }), [
      '/credential/token: Too small: expected string to have >=8 characters',
    ])
    assert.match(String(await stage({ colour: 'red-and-blue' })), /colour/)
    assert.equal(
      await refusal(connections.nextCredential.check(id)),
      'conflict: No credential is staged for this connection',
    )
  },
)
