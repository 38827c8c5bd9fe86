import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startNetbox } from '../../simulators/netbox/start.ts'
import { startAtlas } from '../../src/testing/server.ts'
import { connect, events, eventually, search, sync } from './steps.ts'

// A connected system tells that something changed; the running server reads it at once.

const secret = 'a-secret-of-deliveries-0123456789'

test('a signed delivery of NetBox leads to a sync of what changed; an unsigned one to nothing but an entry', async (t) => {
  const netbox = await startNetbox({ seed: 4, devices: 24, vms: 0 })
  t.after(netbox.stop)
  const atlas = await startAtlas(t)
  const connection = await connect(atlas, netbox, 'lab')
  assert.equal((await sync(atlas, connection)).state, 'succeeded')
  const enabled = await atlas.cli(['connections', 'webhook', 'lab', '--secret-file', '-', '--json'], { input: secret })
  assert.equal(enabled.code, 0, enabled.stderr)
  const { path } = JSON.parse(enabled.stdout) as { path: string }

  const forged = await atlas.ask('POST', path, { token: undefined, body: { event: 'updated' } })
  const nowhere = await atlas.ask('POST', '/hooks/con_nowhere', { token: undefined, body: { event: 'updated' } })
  netbox.webhookTo({ url: atlas.url + path, secret })
  netbox.add(1)
  const delivery = await eventually(async () => netbox.deliveries[0])
  const found = await eventually(async () => {
    const items = await search(atlas, { q: 'new-' })
    return items.length > 0 ? items : undefined
  })

  assert.deepEqual([forged.status, nowhere.status, delivery.status], [403, 403, 202])
  assert.deepEqual(forged.body, {
    ...(nowhere.body as object),
    requestId: (forged.body as { requestId: string }).requestId,
  })
  assert.equal(found.length, 1)
  assert.deepEqual(
    [
      (await events(atlas, { code: 'webhook.received' })).length,
      (await events(atlas, { code: 'webhook.refused', outcome: 'denied' })).length,
    ],
    [1, 2],
  )
})
