import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { connect } from 'node:tls'
import { makeCa } from '../../../simulators/lib/ca.ts'
import { rawExchange, testDoors } from '../../testing/doors.ts'

test('over TLS: 1.3 only, HSTS on every answer, and plain http on that port gets nothing (claims: B10, C32)', async (t) => {
  const ca = makeCa()
  const { certPem, keyPem } = ca.issue({ commonName: 'localhost', hosts: ['localhost'] })
  const { app } = testDoors({ config: { tls: { cert: certPem, key: keyPem } } })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.after(() => app.close())
  const { port } = app.server.address() as AddressInfo
  const options = { host: '127.0.0.1', port, ca: ca.caPem, servername: 'localhost' }
  const get = async (path: string) => {
    const socket = connect(options)
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: localhost:${port}\r\nOrigin: https://localhost:${port}\r\nConnection: close\r\n\r\n`,
    )
    await once(socket, 'close')
    return answer
  }

  for (const [path, status] of [
    ['/livez', 200],
    ['/api/v1/assets', 401],
    ['/nowhere', 404],
    ['/%zz', 400],
  ] as const) {
    const answer = await get(path)
    assert.match(answer, new RegExp(`^HTTP/1.1 ${status} `))
    assert.match(answer, /strict-transport-security: max-age=63072000; includeSubDomains; preload\r/)
  }
  const old = connect({ ...options, maxVersion: 'TLSv1.2' })
  await assert.rejects(once(old, 'secureConnect'), /protocol version|alert/i)
  assert.doesNotMatch(await rawExchange(port, `GET /livez HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`), /200/)
})
