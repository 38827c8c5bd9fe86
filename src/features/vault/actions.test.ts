import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { type Action, handlerOf } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import { Secret } from '../../core/secret.ts'
import type { Database } from '../../lib/db/database.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import { vaultActions } from './actions.ts'
import { vaultMigrations } from './migrations.ts'
import { makeVault } from './vault.ts'

const canary = 'a-canary-value'
const missing = 'sec_000000000000000000000000'

async function world(database: Database) {
  const { now } = fixedClock()
  const vault = makeVault({ database, rootKey: testRootKey, now, onIntegrityFailure: () => assert.fail() })
  await vault.init()
  const actions = vaultActions({ vault })
  /** What the gate does around a call, as far as these tests need it: parse, run, check. */
  const call = async (name: string, rawInput: unknown): Promise<unknown> => {
    const action = actions.find((one) => one.name === name) as Action
    const input = action.input.parse(rawInput)
    const context = { principal: {}, door: 'http', requestId: 'r', signal: AbortSignal.timeout(1000) }
    return action.output.parse(await handlerOf(action).run(input, context as never))
  }
  return { vault, call, actions }
}

async function problemOf(run: () => Promise<unknown>): Promise<string> {
  try {
    return `no problem: ${JSON.stringify(await run())}`
  } catch (error) {
    assert.ok(error instanceof Problem, String(error))
    return `${error.type}: ${error.detail}`
  }
}

testOnEach('values go in and come out of nothing but reveal', vaultMigrations, async (database) => {
  const { call } = await world(database)
  const put = (await call('vault.secrets.put', { name: 'token', value: canary })) as { id: string }
  const added = await call('vault.versions.add', { secret: put.id, value: `${canary} 2` })

  const outputs = [
    put,
    added,
    await call('vault.secrets.list', {}),
    await call('vault.secrets.get', { secret: put.id }),
    await call('vault.secrets.reveal', { secret: put.id, version: 1 }),
    await call('vault.secrets.destroy', { secret: put.id }),
  ]

  assert.deepEqual(
    outputs.map((output) => JSON.stringify(output).includes(canary)),
    [false, false, false, false, true, false],
  )
  assert.deepEqual(outputs[4], { id: put.id, version: 1, value: canary })
})

testOnEach(
  "a connection's secret is listed but neither replaced nor destroyed here",
  vaultMigrations,
  async (database) => {
    const { call, vault } = await world(database)
    const { id } = await vault.put({ name: 'token', owner: 'con_1', value: new Secret(canary) })
    const refusal = 'conflict: The secret belongs to the connection con_1; edit the connection instead'

    assert.equal(await problemOf(() => call('vault.secrets.destroy', { secret: id })), refusal)
    assert.equal(await problemOf(() => call('vault.versions.add', { secret: id, value: 'x' })), refusal)

    assert.equal((await vault.use(id)).reveal(), canary)
    assert.equal((await vault.get(id)).version, 1)
  },
)

testOnEach('an unknown secret is not found by any action', vaultMigrations, async (database) => {
  const { call } = await world(database)

  for (const [name, more] of [
    ['vault.secrets.get', {}],
    ['vault.secrets.destroy', {}],
    ['vault.secrets.reveal', {}],
    ['vault.versions.add', { value: 'x' }],
  ] as const)
    assert.equal(await problemOf(() => call(name, { secret: missing, ...more })), 'not-found: There is no such secret')
})

const badInputs: readonly [string, unknown][] = [
  ['vault.secrets.put', { name: '', value: canary }],
  ['vault.secrets.put', { name: ' padded', value: canary }],
  ['vault.secrets.put', { name: 'padded ', value: canary }],
  ['vault.secrets.put', { name: 'two\nlines', value: canary }],
  ['vault.secrets.put', { name: 'nul\u0000', value: canary }],
  ['vault.secrets.put', { name: 'right\u202eto-left', value: canary }],
  ['vault.secrets.put', { name: 'n'.repeat(201), value: canary }],
  ['vault.secrets.put', { name: 'n', value: '' }],
  ['vault.secrets.put', { name: 'n', value: canary.repeat(2000) }],
  ['vault.secrets.put', { name: 'n', value: [canary] }],
  ['vault.secrets.put', { name: 'n', value: canary, kind: 'Not A Word' }],
  ['vault.secrets.put', { name: 'n', value: canary, owner: 'con_1' }],
  ['vault.versions.add', { secret: 'token', value: canary }],
  ['vault.secrets.get', { secret: `${missing}'--` }],
  ['vault.secrets.reveal', { secret: missing, version: 0 }],
  ['vault.secrets.list', { limit: 201 }],
  ['vault.secrets.list', { cursor: 'x' }],
]

testOnEach('bad input is refused, and the refusal does not repeat the value', vaultMigrations, async (database) => {
  const { actions } = await world(database)

  for (const [name, input] of badInputs) {
    const result = actions.find((one) => one.name === name)?.input.safeParse(input)
    assert.equal(result?.success, false, `${name} ${JSON.stringify(input).slice(0, 80)}`)
    assert.equal(inspect(result?.error).includes(canary), false)
  }
})

testOnEach('a parsed input shows no value, however it is printed', vaultMigrations, async (database) => {
  const { actions } = await world(database)

  const input = actions.find(({ name }) => name === 'vault.secrets.put')?.input.parse({ name: 'n', value: canary })

  assert.deepEqual(JSON.parse(JSON.stringify(input)), { name: 'n', value: '[secret]', kind: 'generic' })
  assert.equal(inspect(input, { depth: 9, showHidden: true }).includes(canary), false)
})
