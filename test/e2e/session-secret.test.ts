import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newFolder, startAtlas } from '../../src/testing/server.ts'

const password = 'Zw4-marmot-Quince-71-lattice'

test('another session secret ends every sign-in and nothing else; people just sign in again (claims: A44)', async (t) => {
  const folder = newFolder(t)
  const env = { ATLAS_DEFAULT_ADMIN_PASSWORD: password, ATLAS_API_TOKEN: 'Zk3vR8wQ2nT6yB1mX9cL5pHs7dF4gJ0aVe2uKo' }
  const run = (secret: Record<string, string>) => startAtlas(t, { folder, env: { ...env, ...secret } })
  const signIn = async (server: Awaited<ReturnType<typeof run>>) => {
    const { body } = await server.ask('POST', '/api/v1/login', { body: { username: 'admin', password } })
    return (body as { token: string }).token
  }
  const me = async (server: Awaited<ReturnType<typeof run>>, token: string) =>
    (await fetch(`${server.url}/api/v1/me`, { headers: { authorization: `Bearer ${token}` } })).status

  const first = await run({ ATLAS_UI_SECRET: 'a'.repeat(40) })
  assert.match(first.output.stdout, /ATLAS_UI_SECRET is read as ATLAS_SESSION_SECRET/)
  const token = await signIn(first)
  const made = await fetch(`${first.url}/api/v1/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'a program' }),
  })
  const { token: program } = (await made.json()) as { token: string }
  assert.deepEqual([await me(first, token), await me(first, program)], [200, 200])
  await first.stop()

  const same = await run({ ATLAS_SESSION_SECRET: 'a'.repeat(40) })
  assert.equal(await me(same, token), 200, 'a restart alone ends nothing')
  await same.stop()

  const other = await run({ ATLAS_SESSION_SECRET: 'b'.repeat(40) })
  assert.deepEqual([await me(other, token), await me(other, program)], [401, 200])
  assert.equal(await me(other, await signIn(other)), 200)
  assert.doesNotMatch(first.output.stdout + other.output.stdout, /a{40}|b{40}/)
})
