import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, type TestContext, test } from 'node:test'
import { z } from 'zod'
import { call } from '../../simulators/puppetdb/connected.ts'
import { puppetdb } from '../../src/connectors/puppetdb/index.ts'
import { type Ast, list } from '../../src/connectors/puppetdb/query.ts'
import { Names, ServerTime } from '../../src/connectors/puppetdb/schema.ts'
import { receivedSince } from '../../src/connectors/puppetdb/sync.ts'
import { connectTo } from '../../src/testing/connector.ts'

// Against a real PuppetDB that asks for client certificates. It must be one for tests: nodes are added, changed and deactivated.

const { PUPPETDB_URL: url, PUPPETDB_CA: ca, PUPPETDB_CERT: certificate, PUPPETDB_KEY: key } = process.env
const skip =
  url && ca && certificate && key ? false : 'PUPPETDB_URL, PUPPETDB_CA, PUPPETDB_CERT and PUPPETDB_KEY are not set'
const text = (file: string | undefined) => readFileSync(String(file), 'utf8')

const made: string[] = []
const closers: (() => unknown)[] = []
after(async () => {
  if (skip) return
  const connection = connect({ after: (close) => closers.push(close as () => unknown) })
  for (const certname of made) await command(connection, 'deactivate_node', 3, { certname })
  for (const close of closers) await close()
})

function newName(what: string): string {
  const name = `${what}-${Date.now()}.example.org`
  made.push(name)
  return name
}

function connect(t: Pick<TestContext, 'after'>, config: object = {}) {
  const credential = { certificate: text(certificate), key: text(key) }
  return connectTo(t, puppetdb, { config: { url, pageSize: 7, ...config }, credential, caPem: text(ca) })
}

type Connection = ReturnType<typeof connect>

/** Sends a command as Puppet servers do, and waits until it is carried out. */
async function command({ http }: Connection, name: string, version: number, body: { certname: string }) {
  const at = new Date().toISOString()
  const query = {
    command: name,
    version,
    certname: body.certname,
    'producer-timestamp': at,
    secondsToWaitForCompletion: 20,
  }
  const done = z.object({ processed: z.literal(true) })
  const common = { producer_timestamp: at, producer: 'puppet.example.org', environment: 'production' }
  await http.send(
    'POST',
    '/pdb/cmd/v1',
    done,
    name === 'deactivate_node' ? { producer_timestamp: at, ...body } : { ...common, ...body },
    { query },
  )
}

function facts(certname: string, more: object = {}) {
  const values = {
    kernel: 'Linux',
    is_virtual: true,
    networking: {
      fqdn: certname,
      hostname: certname.split('.')[0],
      ip: '10.99.0.7',
      ip6: 'fe80::1',
      mac: '02:00:00:99:00:07',
    },
    dmi: { product: { uuid: '564d0000-0000-4000-8000-999999999999', serial_number: 'None' } },
    memory: { system: { total_bytes: 4_294_967_296 } },
    root_password: 'canary-password',
    app: { port: 8443, api_token: 'canary-token' },
    ...more,
  }
  return { certname, values }
}

function report(certname: string) {
  // An agent whose clock is an hour behind.
  const at = new Date(Date.now() - 3_600_000).toISOString()
  const uuid = crypto.randomUUID()
  return {
    certname,
    puppet_version: '7.23.0',
    report_format: 12,
    configuration_version: '1',
    start_time: at,
    end_time: at,
    resources: [],
    noop: false,
    noop_pending: false,
    corrective_change: false,
    metrics: [],
    logs: [],
    transaction_uuid: uuid,
    catalog_uuid: uuid,
    code_id: null,
    job_id: null,
    cached_catalog_status: 'not_used',
    status: 'changed',
  }
}

test('A real PuppetDB is checked, read whole, and read on after changes', { skip }, async (t) => {
  const connection = connect(t, { facts: ['app.port'] })
  const name = newName('atlas')
  const gone = newName('gone')
  await command(connection, 'replace_facts', 5, facts(gone))

  const { version, warnings } = await connection.check()
  const { observations, batches, cursor } = await connection.sync()

  assert.match(version, /^\d+\.\d+\.\d+/)
  assert.deepEqual(warnings, [])
  assert.ok(batches.length > 1 && batches.every(({ full }) => full))
  assert.equal(new Set(observations.map(({ externalId }) => externalId)).size, batches[0]?.total)
  assert.ok(observations.some(({ externalId }) => externalId === gone))

  await command(connection, 'replace_facts', 5, facts(name))
  await command(connection, 'store_report', 8, report(name))
  await command(connection, 'deactivate_node', 3, { certname: gone })
  const next = await connection.sync(cursor)

  assert.ok(next.batches.every(({ full }) => full === undefined))
  assert.ok(next.batches.some(({ gone: left = [] }) => left.some(({ externalId }) => externalId === gone)))
  const seen = next.observations.find(({ externalId }) => externalId === name)
  const { factsAt, lastReport, ...attributes } = seen?.attributes ?? {}
  assert.deepEqual(
    [seen?.status, seen?.addresses, seen?.serial, seen?.facts],
    ['changed', ['10.99.0.7'], undefined, { reportAt: lastReport }],
  )
  assert.deepEqual(seen?.machine, {
    form: 'virtual',
    fqdns: [name],
    hostNames: [name.split('.')[0]],
    uuids: ['564d0000-0000-4000-8000-999999999999'],
    macs: ['02:00:00:99:00:07'],
  })
  assert.deepEqual(attributes, {
    fqdn: name,
    environment: 'production',
    kernel: 'Linux',
    macAddress: '02:00:00:99:00:07',
    memoryMib: 4096,
    noop: false,
    'fact.app.port': '8443',
  })
  assert.match(String(factsAt), /Z$/)
})

test('A report is found by when it was received, not by the clock of its agent', { skip }, async (t) => {
  const connection = connect(t)
  const name = newName('report')
  await command(connection, 'replace_facts', 5, facts(name))
  const { server_time: between } = await connection.http.get('/pdb/meta/v1/server-time', ServerTime)
  await command(connection, 'store_report', 8, report(name))
  const names = async (where: Ast) => {
    const asked = { fields: ['certname'], where, orderBy: 'certname', limit: 100 }
    return (await list(connection.http, 'nodes', Names, asked)).rows.map(({ certname }) => certname)
  }

  assert.ok((await names(receivedSince(between))).includes(name))
  assert.ok(!(await names(['>=', 'report_timestamp', between])).includes(name))
})

test('The actions answer from a real PuppetDB', { skip }, async (t) => {
  const connection = connect(t)
  const name = newName('action')
  await command(connection, 'replace_facts', 5, facts(name))
  await command(connection, 'store_report', 8, report(name))

  const found = await call(connection, 'puppetdb.nodes.find', { name, status: 'changed', environment: 'production' })
  const shown = await call(connection, 'puppetdb.node.facts', { certname: name })
  const one = await call(connection, 'puppetdb.node.facts', { certname: name, fact: 'kernel' })
  const reports = await call(connection, 'puppetdb.reports.list', {
    certname: name,
    since: new Date(Date.now() - 60_000).toISOString(),
  })

  assert.equal(found['total'], 1)
  assert.equal((shown['facts'] as Record<string, unknown>)['networking.ip'], '10.99.0.7')
  assert.equal(shown['leftOut'], 2)
  assert.doesNotMatch(JSON.stringify(shown), /canary/)
  assert.deepEqual(one['facts'], { kernel: 'Linux' })
  assert.equal((reports['items'] as { status: string }[])[0]?.status, 'changed')
  await assert.rejects(call(connection, 'puppetdb.node.facts', { certname: 'no.such.node' }), { type: 'not-found' })
})

test('A real PuppetDB refuses a client without a certificate, and the refusal is told', { skip }, async (t) => {
  const { check } = connectTo(t, puppetdb, { config: { url }, credential: {}, caPem: text(ca) })

  await assert.rejects(check(), (error: { type?: string }) =>
    ['upstream-untrusted', 'upstream-unreachable'].includes(error.type ?? ''),
  )
})
