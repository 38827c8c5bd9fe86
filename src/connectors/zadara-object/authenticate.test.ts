import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import type { Outgoing } from '../../core/connector.ts'
import { Secret } from '../../core/secret.ts'
import { authenticate, authorization, canonicalRequest } from './authenticate.ts'
import vectors from './vectors/sigv4.json' with { type: 'json' }

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const { accessKey, secretKey, region, at, host } = vectors

for (const { title, method, target, headers, body, canonicalHash, signature } of vectors.cases) {
  test(`The published signature of "${title}" is reproduced`, () => {
    const payloadHash = sha256(body)
    const signed: Record<string, string> = {
      ...(headers as Record<string, string>),
      host,
      'x-amz-content-sha256': payloadHash,
      'x-amz-date': at,
    }
    const names = Object.keys(signed).sort()
    const request = { method, target, headers: signed, payloadHash }

    assert.equal(sha256(canonicalRequest(request, names)), canonicalHash)
    assert.equal(
      authorization({ ...request, at, region, accessKey, secretKey }),
      `AWS4-HMAC-SHA256 Credential=${accessKey}/20130524/us-east-1/s3/aws4_request, SignedHeaders=${names.join(';')}, Signature=${signature}`,
    )
  })
}

const credential = { accessKey: new Secret(accessKey), secretKey: new Secret(secretKey) }
const request: Outgoing = {
  method: 'GET',
  target: '/?max-keys=2&prefix=J',
  host,
  headers: { accept: 'text/xml', 'user-agent': 'atlas' },
  body: undefined,
  now: new Date('2013-05-24T00:00:00.999Z'),
}
const signatureOf = (given: Partial<Outgoing>) =>
  authenticate(credential, { ...request, ...given })['authorization']?.split('Signature=')[1]

test('A request leaves with its time, the hash of its body and the published signature', () => {
  assert.deepEqual(authenticate(credential, request), {
    'x-amz-content-sha256': sha256(''),
    'x-amz-date': at,
    authorization:
      'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  })
})

test('What a server reads as the same request has the same signature', () => {
  const same: readonly (readonly [string, string])[] = [
    ['/?max-keys=2&prefix=J', '/?prefix=J&max-keys=2'],
    ['/?versioning', '/?versioning='],
    ['/b?prefix=a+b', '/b?prefix=a%20b'],
    ['/b?prefix=%2a%7e', '/b?prefix=*~'],
    ["/b/k'(1)*!", '/b/k%27%281%29%2A%21'],
    ['/b/%c3%a9', '/b/%C3%A9'],
  ]
  for (const [one, other] of same) assert.equal(signatureOf({ target: one }), signatureOf({ target: other }), one)
})

test('Each part of a request counts for its signature', () => {
  const plain = signatureOf({})
  const others: readonly Partial<Outgoing>[] = [
    { method: 'PUT' },
    { target: '/?max-keys=2&prefix=K' },
    { target: '/?max-keys=2&prefix=J&x' },
    { target: '/b?max-keys=2&prefix=J' },
    { target: '/?max-keys=2&prefix=a%2Bb' },
    { host: 'other.example.net' },
    { body: 'x' },
    { now: new Date('2013-05-24T00:00:01Z') },
    { headers: { 'x-atlas-region': 'eu-1' } },
    { headers: { 'content-type': 'application/xml' } },
    { headers: { 'x-amz-acl': 'private' } },
  ]
  const signatures = others.map(signatureOf)
  assert.equal(new Set([plain, ...signatures]).size, others.length + 1)
  assert.notEqual(signatureOf({ target: '/b?prefix=a+b' }), signatureOf({ target: '/b?prefix=a%2Bb' }))
})

test('Headers that proxies change do not count, and bytes are hashed as bytes', () => {
  const accept = signatureOf({ headers: { accept: '*/*', 'x-request-id': 'req_9' } })
  assert.equal(accept, signatureOf({}))
  assert.equal(signatureOf({ body: new Uint8Array([0x68, 0x69]) }), signatureOf({ body: 'hi' }))
  assert.doesNotThrow(() => signatureOf({ target: '/%zz?%zz=%' }))
})
