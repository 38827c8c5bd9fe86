import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { vcenter } from '../../src/connectors/vcenter/index.ts'
import { handlerOf } from '../../src/core/action.ts'
import { connectTo } from '../../src/testing/connector.ts'

// The connector against a real vim25 API, usually govmomi's simulator. The environment names it.

const {
  VCENTER_URL: url = '',
  VCENTER_USER: username = '',
  VCENTER_PASSWORD: password = '',
  VCENTER_CA: ca = '',
} = process.env
const skip = url && username && password && ca ? false : 'VCENTER_URL, _USER, _PASSWORD and _CA are not set'

function connect(t: TestContext) {
  const vc = connectTo(t, vcenter, {
    config: { url },
    credential: { username, password },
    caPem: readFileSync(ca, 'utf8'),
  })
  return {
    ...vc,
    async call(name: string, input: Record<string, unknown>) {
      const action = vcenter.actions.find((one) => one.name === name)
      assert.ok(action)
      const connection = { id: 'con_test', config: vc.config, http: vc.http }
      const principal = { id: 'usr_1', kind: 'user', name: 'Ana', bindings: [], version: '1' } as const
      const context = { principal, door: 'http', requestId: 'req_1', signal: vc.context.signal, connection } as const
      const parsed = action.input.parse({ connection: 'vc', ...input })
      return action.output.parse(await handlerOf(action).run(parsed, context)) as Record<string, unknown>
    },
  }
}

test('The account is checked', { skip }, async (t) => {
  const vc = connect(t)

  const { version, account } = await vc.check()
  await vc.signOut()

  assert.match(version, /^\d+\.\d/)
  assert.equal(account, username)
})

test('A wrong password is told as such', { skip }, async (t) => {
  const caPem = readFileSync(ca, 'utf8')
  const vc = connectTo(t, vcenter, { config: { url }, credential: { username, password: 'wrong' }, caPem })

  await assert.rejects(vc.check(), { type: 'upstream-denied' })
})

test('Everything is read, then only what changed', { skip }, async (t) => {
  const vc = connect(t)
  const first = await vc.sync()
  const vms = first.observations.filter(({ kind }) => kind === 'virtual-machine')
  t.diagnostic(JSON.stringify(count(first.observations)))
  const vm = vms.find(({ facts }) => facts?.power === 'on')
  assert.ok(vm)
  assert.ok(vms.every((one) => one.relations?.some(({ type }) => type === 'runs-on')))
  assert.ok(vms.every((one) => one.site !== undefined && one.machine?.uuids?.length === 1))

  const off = await vc.call('vcenter.vm.power', { id: vm.externalId, change: 'off' })
  const made = await vc.call('vcenter.snapshot.create', { id: vm.externalId, name: 'a <b> & "c"' })
  const second = await vc.sync(first.cursor)

  assert.deepEqual([off['power'], off['changed'], off['done'], made['done']], ['off', true, true, true])
  assert.ok(second.batches.every(({ full }) => !full))
  assert.deepEqual(count(second.observations), { 'virtual-machine': 1, snapshot: 1 })
  const [after, snapshot] = second.observations
  assert.equal(after?.externalId, vm.externalId)
  assert.equal(after?.facts?.power, 'off')
  assert.ok(Date.parse(after?.facts?.powerSince ?? '') > Date.now() - 60_000, 'known from the event')
  assert.equal(snapshot?.name, 'a <b> & "c"')

  const again = await vc.call('vcenter.vm.power', { id: vm.externalId, change: 'off' })
  const removed = await vc.call('vcenter.snapshot.remove', { id: vm.externalId, snapshot: made['id'] })
  const on = await vc.call('vcenter.vm.power', { id: vm.externalId, change: 'on' })
  const third = await vc.sync(second.cursor)

  assert.deepEqual([again['changed'], removed['done'], on['power']], [false, true, 'on'])
  assert.deepEqual(
    third.batches.flatMap(({ gone = [] }) => gone),
    [{ kind: 'snapshot', externalId: made['id'] }],
  )
  assert.deepEqual((await vc.sync(third.cursor)).observations, [])
  await vc.signOut()
})

test('After the session ended, everything is read again', { skip }, async (t) => {
  const vc = connect(t)
  const { cursor } = await vc.sync()
  await vc.signOut()

  const { batches } = await vc.sync(cursor)
  await vc.signOut()

  assert.ok(batches.length > 0 && batches.every(({ full }) => full))
})

function count(observations: readonly { readonly kind: string }[]): Record<string, number> {
  const kinds = Object.groupBy(observations, ({ kind }) => kind)
  return Object.fromEntries(Object.entries(kinds).map(([kind, all]) => [kind, all?.length ?? 0]))
}
