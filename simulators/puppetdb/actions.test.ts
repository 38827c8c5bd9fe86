import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeCompany } from '../lib/company.ts'
import { call, canaries, company, connect, hours } from './connected.ts'

test('Nodes are found by name, status and age of their report, page by page', async (t) => {
  const truth = makeCompany({ seed: 2, devices: 240, vms: 400, copies: 2 })
  const connection = await connect(t, { truth })
  const find = async (input: Record<string, unknown>) =>
    (await call(connection, 'puppetdb.nodes.find', input)) as {
      items: { certname: string; reportAt: string }[]
      next: string | null
      total: number
    }
  const all: string[] = []
  let cursor: string | null = null
  do {
    const page = await find({ name: '.VM.', limit: 50, ...(cursor && { cursor }) })
    all.push(...page.items.map(({ certname }) => certname))
    cursor = page.next
  } while (cursor !== null)

  assert.deepEqual(all, [...truth.vms('configuration')].map(({ fqdn }) => fqdn).sort())
  const reportedBefore = new Date(truth.now.getTime() - 8 * 24 * hours).toISOString()
  const { items, total } = await find({ reportedBefore })
  assert.equal(items.length, total)
  assert.ok(items.length >= 2 && items.every(({ reportAt }) => reportAt < reportedBefore))
  assert.equal((await find({ name: 'no.such' })).total, 0)
  assert.ok((await find({ status: 'failed', environment: 'production' })).total > 0)
})

test("A node's facts are shown flat, without anything that may be a secret", async (t) => {
  const truth = makeCompany(company)
  const connection = await connect(t, { truth })
  const [server] = truth.devices('configuration')
  assert.ok(server)

  const { facts, leftOut } = (await call(connection, 'puppetdb.node.facts', { certname: server.fqdn })) as {
    facts: Record<string, unknown>
    leftOut: number
  }

  assert.equal(facts['networking.fqdn'], server.fqdn)
  assert.equal(facts['networking.interfaces.eth0.bindings.0.address'], server.address.split('/')[0])
  assert.equal(facts['app.port'], 8443)
  assert.equal(facts['is_virtual'], false)
  // Two below app.database, two by name, two by value.
  assert.equal(leftOut, 6)
  assert.doesNotMatch(JSON.stringify(facts), canaries)
  const one = await call(connection, 'puppetdb.node.facts', { certname: server.fqdn, fact: 'role' })
  assert.deepEqual(one, { certname: server.fqdn, facts: { role: 'base' }, leftOut: 0, truncated: false })
})

test('A node that is not there or is deactivated is not found', async (t) => {
  const truth = makeCompany(company)
  const connection = await connect(t, { truth })
  const [server] = truth.devices('configuration')
  assert.ok(server)
  connection.sim.deactivate(server.fqdn)

  for (const certname of [server.fqdn, 'no.such.node']) {
    await assert.rejects(call(connection, 'puppetdb.node.facts', { certname }), { type: 'not-found' })
  }
})

test('Reports are listed newest first, without their logs', async (t) => {
  const truth = makeCompany(company)
  const connection = await connect(t, { truth })
  const [name] = connection.sim.run(1)

  const all = await call(connection, 'puppetdb.reports.list', { limit: 3 })
  const { items } = all as { items: { certname: string; receivedAt: string }[] }
  const ofOne = await call(connection, 'puppetdb.reports.list', { certname: name, since: truth.now.toISOString() })

  assert.equal(items[0]?.certname, name)
  assert.deepEqual(
    items.map(({ receivedAt }) => receivedAt),
    items
      .map(({ receivedAt }) => receivedAt)
      .sort()
      .reverse(),
  )
  assert.deepEqual([(ofOne['items'] as object[]).length, ofOne['total'], ofOne['next'], all['next']], [1, 1, null, '3'])
  assert.doesNotMatch(JSON.stringify(all), canaries)
})

const hostile = [
  '../',
  'a/../b',
  'a?x=1',
  'a#x',
  'a\r\nx: y',
  '%2e%2e',
  'a"],["=","certname","b',
  'a\\',
  '',
  '-a.',
  'a/b',
]
test('A name that is not one is refused before anything is sent (claims: D16)', async (t) => {
  const connection = await connect(t)
  for (const text of hostile) {
    await assert.rejects(call(connection, 'puppetdb.node.facts', { certname: text }), { name: 'ZodError' }, text)
    await assert.rejects(call(connection, 'puppetdb.reports.list', { certname: text }), { name: 'ZodError' }, text)
    await assert.rejects(call(connection, 'puppetdb.nodes.find', { cursor: text }), { name: 'ZodError' }, text)
    if (text === '-a.') continue
    await assert.rejects(call(connection, 'puppetdb.nodes.find', { name: text }), { name: 'ZodError' }, text)
    await assert.rejects(
      call(connection, 'puppetdb.node.facts', { certname: 'a', fact: text }),
      { name: 'ZodError' },
      text,
    )
  }
  assert.deepEqual(connection.sim.requests, [])
})

test('What is asked arrives as data of the query, never as part of the path (claims: D16)', async (t) => {
  const connection = await connect(t)
  await call(connection, 'puppetdb.nodes.find', { name: '..', limit: 1 })
  await assert.rejects(call(connection, 'puppetdb.node.facts', { certname: 'a..b' }), { type: 'not-found' })

  const asked = connection.sim.requests.map(({ method, path, query }) => {
    const [, , where] = JSON.parse(new URLSearchParams(query).get('query') ?? 'null') as unknown[]
    return [method, path, where]
  })
  assert.deepEqual(asked, [
    ['GET', '/pdb/query/v4/nodes', ['~', 'certname', '\\.\\.']],
    ['GET', '/pdb/query/v4/facts', ['=', 'certname', 'a..b']],
    ['GET', '/pdb/query/v4/nodes', ['=', 'certname', 'a..b']],
  ])
})
