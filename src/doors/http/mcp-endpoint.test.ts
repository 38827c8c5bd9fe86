import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testDoors, tokens } from '../../testing/doors.ts'

const post = { method: 'POST', url: '/mcp', payload: { jsonrpc: '2.0', id: 1, method: 'x' } } as const
const headers = { authorization: `Bearer ${tokens.viewer}`, 'mcp-method': 'x' }

test('the token stays at the door: the protocol library sees the message and the principal', async () => {
  const seen: unknown[] = []
  const mcp = async (
    request: Request,
    { principal, door }: { principal: { name: string }; door: string },
    message: unknown,
  ) => {
    seen.push([request.headers.get('authorization'), request.headers.get('mcp-method'), principal.name, door, message])
    return new Response(null, { status: 202 })
  }
  const { app } = testDoors({ parts: { mcp } })
  const answer = await app.inject({ ...post, headers })
  assert.deepEqual([answer.statusCode, answer.body, seen], [202, '', [[null, 'x', 'viewer', 'mcp', post.payload]]])
})

test('an answer of the protocol library cannot set cookies or weaken the headers', async () => {
  const given = {
    'set-cookie': 'a=b',
    'access-control-allow-origin': '*',
    'content-security-policy': 'default-src *',
    'x-other': '1',
  }
  const { app } = testDoors({ parts: { mcp: async () => Response.json({ ok: true }, { headers: given }) } })
  const answer = await app.inject({ ...post, headers })
  assert.deepEqual(answer.json(), { ok: true })
  assert.deepEqual(
    [answer.headers['set-cookie'], answer.headers['access-control-allow-origin'], answer.headers['x-other']],
    [undefined, undefined, undefined],
  )
  assert.match(String(answer.headers['content-security-policy']), /^default-src 'none'/)
})

test('without an MCP door there is no /mcp', async () => {
  const { app } = testDoors({ parts: { mcp: undefined } as never })
  assert.equal((await app.inject({ ...post, headers })).statusCode, 404)
})
