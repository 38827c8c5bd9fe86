import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { decide, effectsOf, policySet, resource, rolesTable } from './roles-table.ts'
import { principalWith, routeActions } from './routes-for-tests.ts'

// The oracle, written by hand and not from the policies. Columns: no role, viewer, developer, operator, auditor, admin;
// first for a user, then for an agent, then Atlas itself. p permit, a ask, - forbid.
const oracle: Readonly<Record<string, string>> = {
  'inventory.assets.search': '-ppppp -ppppp -',
  'inventory.assets.get': '-ppppp -ppppp -',
  'inventory.summary.get': '-ppppp -ppppp -',
  'inventory.findings.list': '-ppppp -ppppp -',
  'inventory.findings.acknowledge': '---p-p ---a-a -',
  'inventory.findings.evaluate': '---p-p ---p-p p',
  'inventory.rules.edit': '---p-p ---a-a -',
  'inventory.machines.search': '-ppppp -ppppp -',
  'inventory.machines.get': '-ppppp -ppppp -',
  'inventory.machines.overview': '-ppppp -ppppp -',
  'inventory.machines.context': '-ppppp -ppppp -',
  'inventory.machines.split': '---p-p ---a-a -',
  'inventory.machines.join': '---p-p ---a-a -',
  'inventory.decisions.list': '-ppppp -ppppp -',
  'inventory.decisions.withdraw': '---p-p ---a-a -',
  'connections.connectors.list': '-ppp-p -ppp-p -',
  'connections.connections.list': '-ppp-p -ppp-p -',
  'connections.connections.add': '---p-p ---a-a -',
  'connections.connections.get': '-ppp-p -ppp-p -',
  'connections.connections.edit': '---p-p ---a-a -',
  'connections.connections.remove': '-----p -----a -',
  'connections.connections.check': '-ppp-p -ppp-p -',
  'connections.credentials.stage': '---p-p ---a-a -',
  'connections.credentials.check': '-ppp-p -ppp-p -',
  'connections.credentials.promote': '---p-p ---a-a -',
  'connections.credentials.discard': '---p-p ---a-a -',
  'connections.syncs.start': '---p-p ---p-p p',
  'connections.syncs.list': '-ppp-p -ppp-p -',
  'connections.syncs.get': '-ppp-p -ppp-p -',
  'connections.syncs.cancel': '---p-p ---p-p -',
  'connections.syncs.run': '---p-p ---p-p p',
  'connections.webhooks.enable': '---p-p ---a-a -',
  'vault.secrets.list': '---p-p ---p-p -',
  'vault.secrets.put': '-----p -----a -',
  'vault.secrets.get': '---p-p ---p-p -',
  'vault.secrets.destroy': '-----p -----a -',
  'vault.versions.add': '-----p -----a -',
  'vault.secrets.usage': '---p-p ---p-p -',
  'vault.rotation.set': '-----p -----a -',
  'vault.keys.list': '---p-p ---p-p -',
  'vault.keys.rotate': '-----p -----a -',
  'vault.keys.rewrap': '-----p -----a -',
  'vault.root-key.change': '-----p -----a -',
  'vault.incidents.open': '-----p -----a -',
  'vault.incidents.list': '---ppp ---ppp -',
  'vault.incidents.get': '---ppp ---ppp -',
  'vault.incidents.secrets': '---ppp ---ppp -',
  'vault.incidents.close': '-----p -----a -',
  'vault.secrets.reveal': '------ ------ -',
  'identity.users.list': '----pp ----pp -',
  'identity.users.add': '-----p -----a -',
  'identity.users.get': '----pp ----pp -',
  'identity.users.edit': '-----p -----a -',
  'identity.users.remove': '-----p -----a -',
  'identity.tokens.list': 'pppppp pppppp -',
  'identity.tokens.add': 'pppppp pppppp -',
  'identity.tokens.revoke': 'pppppp aaaaaa -',
  'identity.roles.list': '----pp ----pp -',
  'identity.anomalies.list': '----pp ----pp -',
  'identity.bindings.list': '----pp ----pp -',
  'identity.bindings.add': '-----p -----a -',
  'identity.bindings.remove': '-----p -----a -',
  'identity.principal.get': 'pppppp pppppp -',
  'identity.password.change': 'pppppp ------ -',
  'policy.policies.list': '---ppp ---ppp -',
  'policy.decision.explain': 'pppppp pppppp -',
  'approvals.requests.list': 'pppppp pppppp -',
  'approvals.requests.get': 'pppppp pppppp -',
  'approvals.requests.approve': '---p-p ------ -',
  'approvals.requests.deny': '---p-p ------ -',
  'audit.events.search': '----pp ----pp -',
  'audit.events.follow': '----pp ----pp -',
  'audit.principals.touched': '----pp ----pp -',
  'audit.events.get': '----pp ----pp -',
  'audit.events.prove': '----pp ----pp -',
  'audit.log.verify': '----pp ----pp -',
  'audit.log.read': '----pp ----pp -',
  'audit.log.status': '----pp ----pp -',
  'audit.clock.accept': '-----p -----a -',
  'audit.retention.get': '----pp ----pp -',
  'audit.retention.apply': '-----p -----a p',
  'audit.principals.forget': '-----p -----a -',
  'exports.datasets.list': '-ppp-p -ppp-p -',
  'exports.exports.create': '--pp-p --aa-a -',
  'exports.exports.list': '-ppp-p -ppp-p -',
  'exports.exports.get': '-ppp-p -ppp-p -',
  'exports.exports.share': '--pp-p --aa-a -',
  'exports.exports.remove': '--pp-p --aa-a -',
  'exports.exports.download': '-ppp-p -ppp-p -',
  'exports.plans.create': '--pp-p --aa-a -',
  'exports.plans.list': '-ppp-p -ppp-p -',
  'exports.plans.remove': '--pp-p --aa-a -',
  'exports.plans.run': '--pp-p --aa-a p',
  'system.backups.create': '-----p -----a p',
  'system.backups.list': '-----p -----p -',
  'system.backups.get': '-----p -----p -',
  'system.backups.download': '-----p ------ -',
  'system.backups.remove': '-----p -----a -',
  'lab.devices.find': '--pp-p --pp-p -',
  'lab.device.reveal-config': '------ ------ -',
  'lab.journal.add': '---p-p ---a-a a',
  'lab.device.remove': '-----p -----a -',
}

const kinds = ['user', 'agent', 'system'] as const

test('the shipped policies decide every action for every role and kind of principal as the oracle says', () => {
  const decided = Object.fromEntries(
    routeActions.map((action) => [action.name, kinds.map((kind) => effectsOf(kind, action, false)).join(' ')]),
  )

  assert.deepEqual(decided, oracle)
})

test('an approval turns exactly the asks into permits, and nothing else', () => {
  const decided = Object.fromEntries(
    routeActions.map((action) => [action.name, kinds.map((kind) => effectsOf(kind, action, true)).join(' ')]),
  )

  const expected = Object.entries(oracle).map(([name, effects]) => [name, effects.replaceAll('a', 'p')])
  assert.deepEqual(decided, Object.fromEntries(expected))
})

test('Atlas itself gains nothing from a role binding', () => {
  const principal = principalWith(['admin'], { kind: 'system' })

  // What a plan publishes is permitted only because it is approved here.
  const permitted = routeActions.filter(
    (action) => decide({ principal, action, resource, approved: true, door: 'schedule' }).effect === 'permit',
  )

  assert.deepEqual(
    permitted.map(({ name }) => name),
    [
      'inventory.findings.evaluate',
      'connections.syncs.start',
      'connections.syncs.run',
      'audit.retention.apply',
      'exports.plans.run',
      'system.backups.create',
      'lab.journal.add',
    ],
  )
})

test('a role that no policy names permits no more than no role', () => {
  for (const action of routeActions) {
    const [none, unknown] = [[], ['superuser']].map((roles) =>
      decide({ principal: principalWith(roles), action, resource, approved: false, door: 'http' }),
    )
    assert.deepEqual(unknown, none)
  }
})

test('the table of docs/operate/policy.md is what the shipped policies decide', () => {
  const page = readFileSync(new URL('../../../docs/operate/policy.md', import.meta.url), 'utf8')

  const table = page.split('<!-- roles -->')[1]?.trim()

  assert.equal(table, rolesTable())
})

test('docs/operate/policy.md names every shipped policy', () => {
  const page = readFileSync(new URL('../../../docs/operate/policy.md', import.meta.url), 'utf8')

  assert.deepEqual(
    [...policySet.policies.keys()].filter((id) => !page.includes(`\`${id}\``)),
    [],
  )
})
