import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Secret } from '../../src/core/secret.ts'
import { makeOutbound } from '../../src/lib/outbound.ts'
import { signV4 } from '../../src/lib/sigv4.ts'
import { startAws } from './start.ts'

// The simulator's own check of signatures: whatever is changed on the way is noticed.

type Call = { url: string; headers: Record<string, string>; body: string }

test('a request that was changed after it was signed, or signed for elsewhere, is refused in the real words', async (t) => {
  const aws = await startAws()
  const send = makeOutbound({ ca: aws.caPem })
  t.after(() => aws.stop())
  const body = '{"KeyId":"alias/atlas","Plaintext":"aGVsbG8="}'
  const target = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'TrentService.Encrypt' }
  const call = ({ service = 'kms', region = aws.region, now = new Date(), url = `${aws.url}/` } = {}): Call => {
    const { accessKeyId, secretAccessKey } = aws.credential
    const keys = { accessKeyId, secretAccessKey: new Secret(secretAccessKey) }
    return { url, body, headers: signV4(keys, { method: 'POST', url, headers: target, body, service, region, now }) }
  }
  const without = (one: Call, name: string): Call => {
    const { [name]: _, ...headers } = one.headers
    return { ...one, headers }
  }
  const wrong = 'InvalidSignatureException'
  const rows: readonly [what: string, call: Call, type: string | undefined][] = [
    ['as it was signed', call(), undefined],
    ['with a query that was signed', call({ url: `${aws.url}/?b=2&a=1` }), undefined],
    ['another body', { ...call(), body: body.replace('atlas', 'other') }, wrong],
    ['another query', { ...call(), url: `${aws.url}/?x=1` }, wrong],
    ['another path', { ...call(), url: `${aws.url}/x` }, wrong],
    ['a header of AWS that is not signed', { ...call(), headers: { ...call().headers, 'x-amz-extra': '1' } }, wrong],
    [
      'a session token that nobody has',
      { ...call(), headers: { ...call().headers, 'x-amz-security-token': 'x' } },
      'UnrecognizedClientException',
    ],
    ['another service', call({ service: 's3' }), wrong],
    ['another region', call({ region: 'us-east-1' }), wrong],
    ['an hour ago', call({ now: new Date(Date.now() - 3_600_000) }), wrong],
    ['in an hour', call({ now: new Date(Date.now() + 3_600_000) }), wrong],
    ['no signature', without(call(), 'authorization'), 'MissingAuthenticationTokenException'],
    ['no date', without(call(), 'x-amz-date'), 'IncompleteSignatureException'],
    ['no target', without(call(), 'x-amz-target'), 'UnknownOperationException'],
  ]
  for (const [what, { url, headers, body }, type] of rows) {
    const answer = await send({ url, headers, body, timeoutMs: 5000 })
    const { __type } = JSON.parse(answer.body.toString()) as { __type?: string }
    assert.deepEqual([answer.status, __type], [type === undefined ? 200 : 400, type], what)
  }
})
