import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startNetbox } from '../../simulators/netbox/start.ts'
import { freshPostgresUrl } from '../../src/testing/databases.ts'
import { type Atlas, newFolder, startAtlas } from '../../src/testing/server.ts'
import { connect } from '../e2e/steps.ts'

// SEC-ENC-5 over HTTP: keys are rotated and everything is sealed anew, again and again, under a steady stream of calls that write
// values, read what is stored, and sign in with a stored credential.

const total = 2_000
const everyMs = 5
const most = 64

type Key = { readonly state: string; readonly versions: number }

/** 200 calls a second, as far as the machine allows; every call that did not succeed. */
async function stream(atlas: Atlas, ids: readonly string[], connection: string) {
  const failed: string[] = []
  const running = new Set<Promise<void>>()
  const from = performance.now()
  for (let i = 0; i < total; i++) {
    await sleep(Math.max(0, from + i * everyMs - performance.now()))
    while (running.size >= most) await Promise.race(running)
    const id = ids[i % ids.length] ?? ''
    const [method, path, body] =
      i % 50 === 0
        ? (['POST', `/connections/${connection}/check`, {}] as const)
        : i % 4 === 0
          ? (['POST', `/secrets/${id}/versions`, { value: `value ${i} of this secret` }] as const)
          : (['GET', i % 2 === 0 ? `/secrets/${id}` : '/secrets?limit=20', undefined] as const)
    const call: Promise<void> = atlas
      .ask(method, `/api/v1${path}`, body === undefined ? {} : { body })
      .then(({ status, text }) => {
        if (status >= 300 || /"type":"/.test(text)) failed.push(`${method} ${path} answered ${status}: ${text}`)
      })
      .finally(() => running.delete(call))
    running.add(call)
  }
  await Promise.all(running)
  return { failed, perSecond: Math.round(total / ((performance.now() - from) / 1000)) }
}

/** Rotates, and moves everything to the new key, until `isOver`; answers how often. */
async function rotate(atlas: Atlas, isOver: () => boolean): Promise<number> {
  let rounds = 0
  for (; !isOver(); rounds++) {
    await atlas.api('POST', '/vault/keys', {})
    for (let cursor: unknown; cursor !== null; ) {
      const input = { limit: 50, ...(cursor !== undefined && { cursor }) }
      const answer = await atlas.api<{ next: unknown; failed: unknown[] }>('POST', '/vault/keys/rewrap', input)
      assert.deepEqual(answer.failed, [])
      cursor = answer.next
    }
  }
  return rounds
}

for (const dialect of ['SQLite', 'PostgreSQL'] as const)
  test(`${dialect}: no call fails while keys are rotated and everything is sealed anew under 200 calls a second, or as many as the machine takes (SEC-ENC-5, claims: A42)`, async (t) => {
    const url = dialect === 'PostgreSQL' ? await freshPostgresUrl(t) : undefined
    const netbox = await startNetbox({ seed: 5, devices: 24, vms: 0 })
    t.after(netbox.stop)
    const folder = newFolder(t)
    const atlas = await startAtlas(t, { folder, ...(url && { env: { ATLAS_DATABASE_URL: url } }) })
    const connection = await connect(atlas, netbox, 'lab')
    const ids: string[] = []
    for (let i = 0; i < 40; i++)
      ids.push((await atlas.api<{ id: string }>('POST', '/secrets', { name: `n${i}`, value: `first value ${i}` })).id)

    let isOver = false
    const [{ failed, perSecond }, rounds] = await Promise.all([
      stream(atlas, ids, connection).finally(() => {
        isOver = true
      }),
      rotate(atlas, () => isOver),
    ])

    assert.deepEqual(failed, [])
    assert.ok(rounds >= 2, `${rounds} rotations`)
    const { items } = await atlas.api<{ items: Key[] }>('GET', '/vault/keys')
    assert.deepEqual(
      items.filter(({ state, versions }) => state === 'retired' && versions > 0),
      [],
      'nothing is left under an older key',
    )
    assert.equal((await atlas.cli(['audit', 'verify'])).code, 0)
    t.diagnostic(`${total} calls at ${perSecond} a second, ${rounds} rotations with all versions moved`)
  })
