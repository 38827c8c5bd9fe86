import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeOutbound } from '../../src/lib/outbound.ts'
import { startOpenBao } from './start.ts'

// What the simulator answers, as the published API documents and the real server's messages say it.

test('each refusal has the status and the words of the real one', async (t) => {
  const bao = await startOpenBao()
  const send = makeOutbound({ ca: bao.caPem })
  t.after(() => bao.stop())
  const ask = async (token: string, path: string, body: object = {}, headers = {}) => {
    const answer = await send({
      url: `${bao.url}/v1/${path}`,
      headers: { ...(token !== '' && { 'x-vault-token': token }), ...headers },
      body: JSON.stringify(body),
      timeoutMs: 5000,
    })
    const { errors, data } = JSON.parse(answer.body.toString()) as { errors?: string[]; data?: Record<string, string> }
    return { status: answer.status, errors, data }
  }
  const root = bao.rootToken
  const plaintext = Buffer.from('hello').toString('base64')
  const { data } = await ask(root, 'transit/encrypt/atlas', { plaintext })
  const ciphertext = data?.['ciphertext'] ?? ''
  const short = bao.tokens.make({ rules: 'root', ttlMs: 60_000 })
  const rows: readonly [what: string, answer: Awaited<ReturnType<typeof ask>>, status: number, error: string][] = [
    ['no token', await ask('', 'transit/encrypt/atlas', { plaintext }), 403, 'permission denied'],
    ['a wrong token', await ask('s.none', 'transit/encrypt/atlas', { plaintext }), 403, 'permission denied'],
    [
      'a policy that does not say so',
      await ask(bao.credential, 'transit/encrypt/other', { plaintext }),
      403,
      '1 error occurred:\n\t* permission denied\n\n',
    ],
    [
      'a token of a namespace outside it',
      await ask(bao.teamToken, 'transit/encrypt/atlas', { plaintext }),
      403,
      'permission denied',
    ],
    [
      'no such mount',
      await ask(root, 'none/encrypt/x'),
      404,
      'no handler for route "none/encrypt/x". route entry not found.',
    ],
    ['no such key', await ask(root, 'transit/decrypt/none', { ciphertext }), 400, 'encryption key not found'],
    ['nothing to encrypt', await ask(root, 'transit/encrypt/atlas'), 400, 'missing plaintext to encrypt'],
    [
      'what is no ciphertext',
      await ask(root, 'transit/decrypt/atlas', { ciphertext: 'x' }),
      400,
      'invalid ciphertext: no prefix',
    ],
    [
      'a version that is not there',
      await ask(root, 'transit/decrypt/atlas', { ciphertext: ciphertext.replace('v1', 'v9') }),
      400,
      'invalid ciphertext: version is too new',
    ],
    [
      'another key',
      await ask(root, 'transit/decrypt/other', { ciphertext }),
      400,
      'cipher: message authentication failed',
    ],
    [
      'other associated data',
      await ask(root, 'transit/decrypt/atlas', { ciphertext, associated_data: 'AAAA' }),
      400,
      'cipher: message authentication failed',
    ],
  ]
  for (const [what, answer, status, error] of rows)
    assert.deepEqual([answer.status, answer.errors], [status, [error]], what)
  assert.equal((await ask(root, 'transit/decrypt/atlas', { ciphertext })).data?.['plaintext'], plaintext)
  assert.equal(
    (await ask(bao.teamToken, 'transit/encrypt/atlas', { plaintext }, { 'x-vault-namespace': 'team/' })).status,
    200,
  )
  assert.equal((await ask(short, 'transit/encrypt/atlas', { plaintext })).status, 200)
  bao.forward(61_000)
  assert.equal((await ask(short, 'transit/encrypt/atlas', { plaintext })).status, 403)
  bao.seal()
  assert.deepEqual(await ask(root, 'transit/encrypt/atlas', { plaintext }), {
    status: 503,
    errors: ['Vault is sealed'],
    data: undefined,
  })
})
