import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createServer, get } from 'node:https'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { makeCa } from './ca.ts'

const day = 86_400_000
const cases = [
  { title: 'a certificate for this host is accepted', hosts: ['127.0.0.1', 'localhost', '::1'], expect: 'ok' },
  { title: 'one for another host is refused', hosts: ['10.0.0.1'], expect: 'ERR_TLS_CERT_ALTNAME_INVALID' },
  {
    title: 'an expired one is refused',
    hosts: ['127.0.0.1'],
    notAfter: new Date(Date.now() - day / 2),
    expect: 'CERT_HAS_EXPIRED',
  },
  {
    title: 'one of another authority with the same name is refused',
    hosts: ['127.0.0.1'],
    otherCa: true,
    expect: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  },
]
for (const { title, hosts, notAfter, otherCa, expect } of cases) {
  test(`A simulator's CA: ${title}`, async (t) => {
    const ca = makeCa()
    const issued = ca.issue({ commonName: 'sim', hosts, ...(notAfter && { notAfter }) })
    const server = createServer({ cert: issued.certPem, key: issued.keyPem }, (_request, response) =>
      response.end('ok'),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())

    const outcome = await new Promise<string>((resolve) => {
      const { port } = server.address() as AddressInfo
      get({ host: '127.0.0.1', port, ca: otherCa ? makeCa().caPem : ca.caPem, agent: false }, (response) => {
        response.resume()
        resolve('ok')
      }).on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)))
    })

    assert.equal(outcome, expect)
  })
}

test('A certificate says what it is for', () => {
  const ca = makeCa('Example CA')
  const leaf = new X509Certificate(
    ca.issue({ commonName: 'sim', hosts: ['127.0.0.1', 'sim.example.net', '2001:db8::7'] }).certPem,
  )
  const root = new X509Certificate(ca.caPem)

  assert.deepEqual(
    {
      names: leaf.subjectAltName,
      use: leaf.keyUsage,
      leafIsCa: leaf.ca,
      rootIsCa: root.ca,
      issued: leaf.checkIssued(root) && leaf.verify(root.publicKey),
    },
    {
      names: 'IP Address:127.0.0.1, DNS:sim.example.net, IP Address:2001:DB8:0:0:0:0:0:7',
      use: ['1.3.6.1.5.5.7.3.1'],
      leafIsCa: false,
      rootIsCa: true,
      issued: true,
    },
  )
})
