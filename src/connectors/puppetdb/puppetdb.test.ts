import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeCa } from '../../../simulators/lib/ca.ts'
import { handlerOf } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import { Secret } from '../../core/secret.ts'
import { type Exchange, upstream } from '../../testing/upstream.ts'
import { explain } from './explain.ts'
import { flatten } from './flatten.ts'
import { puppetdb } from './index.ts'
import { factFields } from './observe.ts'
import { nodeFields, nodePages } from './pages.ts'
import { literal } from './query.ts'
import { isSecretName, looksSecret } from './secret-names.ts'

const fixture = (name: string) => JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures', name), 'utf8'))
const config = { url: 'https://puppetdb.example.net:8081', pageSize: 4, facts: ['role', 'motd'] }
const nodesRequest = (offset: number, limit = 4) =>
  `GET /pdb/query/v4/nodes?${new URLSearchParams({
    query: JSON.stringify(['extract', nodeFields]),
    order_by: '[{"field":"certname","order":"asc"}]',
    limit: String(limit),
    offset: String(offset),
    include_total: 'true',
  })}`

test('A full sync reads a page of nodes and their chosen facts, structured or as older agents name them', async (t) => {
  const names = fixture('nodes.json').map(({ certname }: { certname: string }) => certname)
  const context = upstream(
    t,
    import.meta.dirname,
    [
      { request: 'GET /pdb/meta/v1/server-time', reply: { server_time: '2026-11-20T12:00:00.000Z' } },
      { request: nodesRequest(0), reply: 'nodes.json', headers: { 'x-records': '3' } },
      {
        request: 'POST /pdb/query/v4/inventory',
        body: {
          query: ['extract', ['certname', ...factFields(config.facts)], ['in', 'certname', ['array', names]]],
          limit: 3,
        },
        reply: 'inventory.json',
      },
    ],
    { config },
  )
  const steps = puppetdb.sync?.(context)
  assert.ok(steps)

  const first = await steps.next()
  const second = await steps.next()

  assert.deepEqual(first.value, { stage: 'nodes', total: 3, observations: fixture('observations.json'), full: true })
  assert.deepEqual(second, { done: true, value: { since: '2026-11-20T12:00:00.000Z' } })
})

const node = (certname: string) => ({ certname })
const reads = [
  {
    title: 'nothing changes',
    pages: [
      [0, 'abc'],
      [2, 'cde'],
      [4, 'e'],
    ],
    seen: 'abcde',
  },
  {
    title: 'the last node of a page leaves: it is read again from before',
    pages: [
      [0, 'abc'],
      [2, 'def'],
      [0, 'abd'],
      [2, 'def'],
      [4, 'f'],
    ],
    seen: 'abcdef',
  },
  {
    title: 'nodes before it come: they are passed over',
    pages: [
      [0, 'bcd'],
      [2, 'bcd'],
      [4, 'def'],
      [6, 'f'],
    ],
    seen: 'bcdef',
  },
  {
    title: 'the whole page before leaves: it is read again from the beginning',
    pages: [
      [0, 'abc'],
      [2, 'cde'],
      [4, 'hij'],
      [2, 'fgh'],
      [0, 'bfg'],
      [2, 'gh'],
    ],
    seen: 'abcdebfgh',
  },
  {
    title: 'so many leave that the next page is empty',
    pages: [
      [0, 'abc'],
      [2, ''],
      [0, 'b'],
    ],
    seen: 'abc',
  },
] as const
for (const { title, pages, seen } of reads) {
  test(`Nodes are read to the end when ${title}`, async (t) => {
    const exchanges: Exchange[] = pages.map(([offset, names]) => ({
      request: nodesRequest(offset, 3),
      reply: [...names].map(node),
    }))
    const { http } = upstream(t, import.meta.dirname, exchanges, { config })
    let all = ''

    for await (const { nodes } of nodePages(http, 3)) all += nodes.map(({ certname }) => certname).join('')

    assert.equal(all, seen)
  })
}

test('A list that never holds still ends the sync', async (t) => {
  const exchanges: Exchange[] = [{ request: nodesRequest(0, 2), reply: ['a', 'b'].map(node) }]
  for (let step = 0; step <= 50; step++) {
    exchanges.push({ request: nodesRequest(1, 2), reply: ['x', 'y'].map(node) })
    if (step < 50) exchanges.push({ request: nodesRequest(0, 2), reply: ['a', 'b'].map(node) })
  }
  const { http } = upstream(t, import.meta.dirname, exchanges, { config })

  await assert.rejects(
    async () => {
      for await (const _ of nodePages(http, 2));
    },
    (error) => error instanceof Problem && error.type === 'upstream-invalid',
  )
})

const ca = makeCa()
const own = ca.issue({ commonName: 'atlas.example.net', client: true })
const other = ca.issue({ commonName: 'other.example.net', client: true })
const locked = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
  type: 'pkcs8',
  format: 'pem',
  cipher: 'aes-256-cbc',
  passphrase: 'canary',
})
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs1', format: 'pem' })
const credentials = [
  { title: 'a certificate and its key', given: { certificate: own.certPem, key: own.keyPem }, faults: [] },
  { title: 'a chain', given: { certificate: own.certPem + ca.caPem, key: own.keyPem }, faults: [] },
  { title: 'a token', given: { token: '0VZZ5qJrAUgKIpFdKmXgMQ' }, faults: [] },
  { title: 'nothing', given: {}, faults: [] },
  {
    title: 'a certificate alone',
    given: { certificate: own.certPem },
    faults: ['key: certificate and key are given together'],
  },
  { title: 'a key alone', given: { key: own.keyPem }, faults: ['key: certificate and key are given together'] },
  {
    title: "another certificate's key",
    given: { certificate: own.certPem, key: other.keyPem },
    faults: ['key: is not the key of this certificate'],
  },
  {
    title: 'a key of another kind',
    given: { certificate: own.certPem, key: rsa },
    faults: ['key: is not the key of this certificate'],
  },
  {
    title: 'both exchanged',
    given: { certificate: own.keyPem, key: own.certPem },
    faults: [
      'certificate: must be a certificate in PEM, beginning with -----BEGIN CERTIFICATE-----',
      'key: must be a private key in PEM, without a passphrase',
    ],
  },
  {
    title: 'a broken certificate',
    given: { certificate: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----', key: own.keyPem },
    faults: ['certificate: must be a certificate in PEM, beginning with -----BEGIN CERTIFICATE-----'],
  },
  {
    title: 'a broken key',
    given: { certificate: own.certPem, key: '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----' },
    faults: ['key: must be a private key in PEM, without a passphrase'],
  },
  {
    title: 'a key with a passphrase',
    given: { certificate: own.certPem, key: String(locked) },
    faults: ['key: must be a private key in PEM, without a passphrase'],
  },
  {
    title: 'a token of two lines',
    given: { token: 'abcdefgh\r\nx: y' },
    faults: ['token: must be a token on one line, without spaces'],
  },
]
for (const { title, given, faults } of credentials) {
  test(`A credential of ${title} is ${faults.length > 0 ? 'refused in words, without showing it' : 'taken'}`, () => {
    const { error } = puppetdb.credential.safeParse(given)

    assert.deepEqual(
      (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`),
      faults,
    )
    assert.doesNotMatch(JSON.stringify(error?.issues ?? []), /MII|MC4|canary|AAAA/)
  })
}

test('The token goes into its own header, the certificate into the TLS handshake', () => {
  const request = { method: 'GET', target: '/', host: 'h', headers: {}, body: undefined, now: new Date(0) }
  const [certificate, key, token] = [new Secret('C'), new Secret('K'), new Secret('T')]
  const nothing = { certificate: undefined, key: undefined, token: undefined }

  assert.deepEqual(puppetdb.authenticate({ ...nothing, token }, request, undefined), { 'x-authentication': 'T' })
  assert.deepEqual(puppetdb.authenticate({ ...nothing, certificate, key }, request, undefined), {})
  assert.deepEqual(puppetdb.clientCertificate?.({ certificate, key, token: undefined }), { certificate, key })
  assert.equal(puppetdb.clientCertificate?.({ ...nothing, token }), undefined)
})

test('Further facts are named by paths, and not by those of secrets', () => {
  const cases = [
    ['role', true],
    ['app.version', true],
    ['app.db.password', false],
    ['ssh_private_key', false],
    ['ec2_metadata', false],
    ['a"]', false],
    ['a..b', false],
    ['', false],
  ] as const
  for (const [path, isTaken] of cases) {
    assert.equal(puppetdb.config.safeParse({ url: config.url, facts: [path] }).success, isTaken, path)
  }
})

test('Names and values of secrets are known, those of other facts are not', () => {
  const secretNames = [
    'root_password',
    'api_token',
    'sshrsakey',
    'app.db.credentials',
    'GCE.userdata',
    'x_SECRET_y',
    'passwd',
    'license',
  ]
  const others = [
    'role',
    'networking.ip',
    'kernel',
    'dmi.product.serial_number',
    'os.release.full',
    'timezone',
    'uptime',
  ]
  const secrets = [
    '-----BEGIN RSA PRIVATE KEY-----',
    'postgres://u:p@h/d',
    'x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.sig',
  ]
  const plain = ['https://www.example.net/a:b@c', '10.0.0.1:80', 'Debian', 'user@example.net', 'eyJ']

  assert.deepEqual(
    secretNames.filter((name) => !isSecretName(name)),
    [],
  )
  assert.deepEqual(others.filter(isSecretName), [])
  assert.deepEqual(
    secrets.filter((value) => !looksSecret(value)),
    [],
  )
  assert.deepEqual(plain.filter(looksSecret), [])
})

test('A fact of any length is judged at once: each node writes its own (it took hours)', () => {
  assert.equal(looksSecret('a.'.repeat(1_000_000)), false)
})

test('Facts are flattened within bounds, and a hostile name is only a name', () => {
  let deep: unknown = 'bottom'
  for (let depth = 0; depth < 100; depth++) deep = { a: deep }
  const wide = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`n${i}`, i]))

  assert.equal(flatten([{ name: 'deep', value: deep }]).truncated, true)
  assert.equal(Object.keys(flatten([{ name: 'wide', value: wide }]).facts).length, 2000)
  assert.equal(flatten([{ name: 'long', value: 'x'.repeat(1000) }]).facts['long'], 'x'.repeat(500))
  const hostile = flatten([
    { name: '__proto__', value: 'x' },
    { name: 'none', value: undefined },
  ])
  assert.deepEqual(Object.entries(hostile.facts), [
    ['__proto__', 'x'],
    ['none', null],
  ])
})

test('Where a proxy drops the number of records, a full page has a next one and a short page has none', async (t) => {
  const action = puppetdb.actions.find(({ name }) => name === 'puppetdb.nodes.find')
  assert.ok(action)
  for (const [names, next] of [
    ['ab', '2'],
    ['a', null],
  ] as const) {
    const exchange = { request: nodesRequest(0, 2), reply: [...names].map(node) }
    const { http, signal } = upstream(t, import.meta.dirname, [exchange], { config })
    const principal = { id: 'usr_1', kind: 'user', name: 'Ana', bindings: [], version: '1' } as const
    const connection = { id: 'con_1', config, http }

    const found = await handlerOf(action).run(action.input.parse({ connection: 'pdb', limit: 2 }), {
      principal,
      door: 'http',
      requestId: 'req_1',
      signal,
      connection,
    })

    const { next: given, total } = found as { next: string | null; total: number | null }
    assert.deepEqual([given, total], [next, null])
  }
})

test('A part of a name is matched as it is, not as a pattern', () => {
  assert.equal(literal('db.01-a_b'), 'db\\.01\\-a_b')
})

const said = [
  [400, "Can't extract unknown 'nodes' field 'secret.example.net'", /^PuppetDB does not understand the query/],
  [401, { msg: 'secret' }, /Renew it\.$/],
  [403, 'Permission denied: secret.example.net', /certificate allowlist/],
  [404, 'Not Found', /another service/],
  [406, 'must accept application/json', /not asked for JSON/],
  [500, 'java.sql.SQLException: secret', /^PuppetDB failed inside/],
  [503, 'PuppetDB is starting', undefined],
  [200, 'secret', undefined],
] as const
test('Failures are told in our words, never with a word of theirs', () => {
  for (const [status, body, words] of said) {
    const outcome = explain(status, body)
    const text = typeof outcome === 'object' ? outcome.detail : outcome
    if (words === undefined) assert.equal(text, undefined, String(status))
    else assert.match(text ?? '', words)
    assert.doesNotMatch(text ?? '', /secret/)
  }
})
