import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import { testDoors, tokens } from '../../testing/doors.ts'

const token = 'a scraper-s token of thirty-two characters'.replaceAll(' ', '-')
const render = async () => 'atlas_up 1\n'
const withToken = { metrics: { render, tokenHash: hash('sha256', token, 'buffer') } }

test('without a token of its own /metrics is for this machine only', async () => {
  const { app } = testDoors({ parts: { metrics: { render } } })

  const here = await app.inject({ url: '/metrics', remoteAddress: '127.0.0.1' })
  assert.deepEqual([here.statusCode, here.body], [200, 'atlas_up 1\n'])
  assert.equal(here.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
  for (const name of ['x-forwarded-for', 'x-real-ip', 'forwarded', 'via', 'x-forwarded-host']) {
    const { statusCode } = await app.inject({ url: '/metrics', headers: { [name]: '127.0.0.1' } })
    assert.equal(statusCode, 403, `what a proxy on this machine passes on (${name}) is not of this machine`)
  }
})

test('with a token of its own only that token reads /metrics, also on this machine', async () => {
  const { app } = testDoors({ parts: withToken })
  const ask = (authorization?: string) =>
    app.inject({ url: '/metrics', headers: { ...(authorization && { authorization }) } })

  assert.equal((await ask(`Bearer ${token}`)).statusCode, 200)
  for (const refused of [undefined, `Bearer ${token}x`, `Bearer ${tokens.admin}`, `Basic ${token}`])
    assert.equal((await ask(refused)).statusCode, 401)
})

test('the token of /metrics opens nothing else', async () => {
  const { app } = testDoors({ parts: withToken })

  const answer = await app.inject({ url: '/api/v1/assets', headers: { authorization: `Bearer ${token}` } })
  assert.equal(answer.statusCode, 401)
})
