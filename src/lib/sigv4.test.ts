import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Secret } from '../core/secret.ts'
import { signV4 } from './sigv4.ts'
import vectors from './vectors/sigv4-s3.json' with { type: 'json' }

const timeOf = (at: string) => new Date(at.replace(/^(....)(..)(..T..)(..)(..)Z$/, '$1-$2-$3:$4:$5Z'))
const s3 = { accessKeyId: vectors.accessKey, secretAccessKey: new Secret(vectors.secretKey) }

for (const { title, method, target, headers, body, signature } of vectors.cases)
  test(`The published signature of "${title}" is reproduced`, () => {
    const request = {
      method,
      url: `https://${vectors.host}${target}`,
      headers: headers as Record<string, string>,
      body,
    }
    const signed = signV4(s3, { ...request, service: 's3', region: vectors.region, now: timeOf(vectors.at) })

    assert.equal(signed['authorization']?.split('Signature=')[1], signature)
    assert.equal('host' in signed, false)
  })

// "get-vanilla" and "post-x-www-form-urlencoded" of the suite that AWS publishes (aws-sig-v4-test-suite).
const suite = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: new Secret('wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'),
}
const vanilla = { service: 'service', region: 'us-east-1', now: new Date('2015-08-30T12:36:00Z') }
for (const [title, request, signature] of [
  [
    'get-vanilla',
    { method: 'GET', url: 'https://example.amazonaws.com/' },
    '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31',
  ],
  [
    'get-vanilla-query-order-key-case',
    { method: 'GET', url: 'https://example.amazonaws.com/?Param2=value2&Param1=value1' },
    'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
  ],
  [
    'post-vanilla',
    { method: 'POST', url: 'https://example.amazonaws.com/' },
    '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b',
  ],
] as const)
  test(`${title} of the AWS signature suite is reproduced`, () => {
    assert.equal(signV4(suite, { ...request, ...vanilla })['authorization']?.split('Signature=')[1], signature)
  })

test('A session token is sent and signed', () => {
  const signed = signV4(
    { ...suite, sessionToken: new Secret('the token') },
    { method: 'GET', url: 'https://example.amazonaws.com/', ...vanilla },
  )

  assert.equal(signed['x-amz-security-token'], 'the token')
  assert.match(signed['authorization'] ?? '', /SignedHeaders=host;x-amz-date;x-amz-security-token,/)
})
