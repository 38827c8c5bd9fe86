import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { test } from 'node:test'
import { freshPostgresUrl } from '../../src/testing/databases.ts'
import { newFolder, runAtlas, startAtlas } from '../../src/testing/server.ts'
import { filesBelow, findCanaries, type Place } from './canaries.ts'
import { dumpPostgres, dumpSqlite } from './dump.ts'

// A person works with Atlas, others speak of the person, and then the person is erased.

const rootKey = randomBytes(32)
const person = {
  username: 'ada-7Qx2.lovelace',
  email: 'ada-7qx2@engines.example',
  address: '127.7.113.77',
  password: `Pw-${randomBytes(12).toString('base64url')}`,
}

for (const dialect of ['SQLite', 'PostgreSQL'] as const)
  test(`${dialect}: after an erasure nothing of the person is in the database, the files or an export, and every proof still holds (AUD-5)`, async (t) => {
    const folder = newFolder(t)
    const url = dialect === 'PostgreSQL' ? await freshPostgresUrl(t) : undefined
    const atlas = await startAtlas(t, {
      folder,
      env: {
        ATLAS_SECRET_KEY: rootKey.toString('base64'),
        ...(url && { ATLAS_DATABASE_URL: url }),
      },
    })
    const ask = async <T>(method: string, path: string, options: { body?: unknown; token?: string } = {}) =>
      atlas.ask<T>(method, `/api/v1${path}`, options)
    /** From the person's own address, which on loopback can be any. */
    const asPerson = (method: string, path: string, options: { body?: unknown; token?: string } = {}) =>
      fromAddress(person.address, `${atlas.url}/api/v1${path}`, { method, ...options })
    const { username, password, email, address } = person

    // Others say the name, and the person leaves traces of every kind.
    const { body: user } = await ask<{ id: string }>('POST', '/users', { body: { username, password, role: 'viewer' } })
    const wrong = await asPerson('POST', '/login', { body: { username, password: 'not the right one' } })
    const { body: login } = await asPerson('POST', '/login', { body: { username, password } })
    const as = { token: (login as { token: string }).token }
    const statuses = [wrong.status]
    for (const path of ['/me', `/assets?q=${encodeURIComponent(email)}`, '/secrets'])
      statuses.push((await asPerson('GET', path, as)).status)
    assert.deepEqual(statuses, [401, 200, 200, 403])
    await ask('GET', `/assets?q=${encodeURIComponent(email)}`)
    await ask('GET', `/users/${user.id}`)
    // Nobody who can still sign in is erased: neither the person, nor whoever asks, by themselves.
    const me = await ask<{ id: string }>('GET', '/me')
    for (const principal of [user.id, me.body.id])
      assert.equal((await ask('POST', '/audit/forget', { body: { principal } })).status, 409)
    assert.equal((await ask('DELETE', `/users/${user.id}`)).status, 200)
    const proofs = await Promise.all(
      [1, 4, 7].map(async (index) => (await ask<{ proof: string }>('GET', `/audit/events/${index}/proof`)).body.proof),
    )
    const places = async (): Promise<Place[]> => {
      const bytes = url ? await dumpPostgres(url) : await dumpSqlite(join(atlas.dataDir, 'atlas.db'), rootKey)
      return [{ where: 'the tables', bytes }, ...filesBelow(folder)]
    }

    /** Every event with its detail, as somebody who may read everything sees it. */
    const readAll = async (): Promise<Place> => {
      const { size } = await atlas.api<{ size: number }>('GET', '/audit/status')
      const all = await Promise.all(
        Array.from({ length: size }, async (_, i) => (await ask('GET', `/audit/events/${i}`)).text),
      )
      return { where: 'the events', bytes: Buffer.from(all.join('\n')) }
    }
    const canaries = { username, email, address, principal: user.id }
    const before = findCanaries(canaries, [await readAll(), ...(await places())])
    for (const name of Object.keys(canaries))
      assert.ok(before.includes(`the events: ${name} as plain`), `${name} was there: ${before}`)
    assert.ok(before.includes('the tables: principal as plain'))

    const texts = join(newFolder(t), 'texts')
    writeFileSync(texts, `${username}\n${email}\n${address}\n`)
    const forgotten = await atlas.cli(['audit', 'forget', user.id, '--texts-file', texts, '--yes'])
    assert.equal(forgotten.code, 0, forgotten.stderr)
    const exported = await atlas.cli(['audit', 'export', join(folder, 'export')])
    assert.equal(exported.code, 0, exported.stderr)
    const online = await atlas.cli(['audit', 'verify'])
    const events = await readAll()
    await atlas.stop()

    const out: Place[] = [
      ...(await places()),
      events,
      { where: "the server's log", bytes: Buffer.from(atlas.output.stdout + atlas.output.stderr) },
    ]
    assert.deepEqual(findCanaries(canaries, out), [])
    assert.equal(online.code, 0, online.stdout + online.stderr)
    const alone = newFolder(t)
    const offline = await runAtlas(['audit', 'verify', '--offline', join(folder, 'export')], { folder: alone })
    assert.equal(offline.code, 0, offline.stderr)
    for (const [i, proof] of proofs.entries()) {
      writeFileSync(join(alone, `${i}.tlog-proof`), proof)
      const args = ['audit', 'verify', '--proof', `${i}.tlog-proof`, '--vkey', join(folder, 'export', 'vkey')]
      const verdict = await runAtlas(args, { folder: alone })
      assert.equal(verdict.code, 0, verdict.stderr)
    }
  })

type Sent = { readonly method: string; readonly token?: string; readonly body?: unknown }

async function fromAddress(localAddress: string, url: string, { method, token, body }: Sent) {
  const sent = request(url, {
    method,
    localAddress,
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
  })
  sent.end(body === undefined ? undefined : JSON.stringify(body))
  const [answer] = (await once(sent, 'response')) as [IncomingMessage]
  return { status: answer.statusCode, body: await json(answer) }
}
