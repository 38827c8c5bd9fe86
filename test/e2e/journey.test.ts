import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { makeEstate } from '../../simulators/lib/estate.ts'
import { addressCount } from '../../simulators/netbox/addresses.ts'
import { type NetboxOptions, startNetbox } from '../../simulators/netbox/start.ts'
import { type Atlas, startAtlas } from '../../src/testing/server.ts'
import {
  type Asset,
  assertLogVerifies,
  connect,
  counts,
  events,
  mcpClient,
  type Revision,
  revisions,
  search,
  sync,
} from './steps.ts'

// The first running Atlas, from a connection to a search result to a verifiable log entry, through every door.

/** The NetBox community's public demo estate; it lies beside the checkout, not in it. */
const demoFile = join(import.meta.dirname, '../../../shared/data/netbox-demo.json')
const seeded = { seed: 7, devices: 120, vms: 60 }
const estate = makeEstate(seeded)

type Estate = {
  readonly title: string
  readonly skip?: string | false
  readonly netbox: NetboxOptions
  readonly counts: Readonly<Record<string, number>>
  /** Something that `q` must find, for each way of looking. */
  readonly device: (atlas: Atlas) => Promise<Pick<Asset, 'name' | 'serial'>>
}

const estates: readonly Estate[] = [
  {
    title: "the NetBox community's demo estate",
    skip: !existsSync(demoFile) && `${demoFile} is not there`,
    netbox: { data: demoFile },
    counts: {
      site: 24,
      rack: 42,
      device: 72,
      'virtual-machine': 180,
      cluster: 32,
      'ip-address': 180,
      prefix: 90,
      tenant: 11,
    },
    // No device of it has a serial number.
    device: async () => ({ name: 'dmi01-akron-rtr01', serial: null }),
  },
  {
    title: 'a seeded estate',
    netbox: seeded,
    counts: {
      site: estate.counts.sites,
      rack: estate.counts.racks,
      device: estate.counts.devices,
      'virtual-machine': estate.counts.vms,
      cluster: estate.counts.clusters,
      'ip-address': addressCount(estate),
      prefix: estate.counts.subnets,
      tenant: estate.counts.tenants,
    },
    device: async (atlas) => {
      // From NetBox itself, past the inventory.
      const { items } = await atlas.api<{ items: Asset[] }>('GET', '/connections/lab/netbox/devices?role=hypervisor')
      const found = items.find(({ name, serial }) => name && serial)
      assert.ok(found)
      return found
    },
  },
]

for (const { title, skip = false, netbox: options, counts: expected, device: findDevice } of estates)
  test(`${title}: connected, synced, found through every door, and every step is in the log`, { skip }, async (t) => {
    const netbox = await startNetbox(options)
    t.after(netbox.stop)
    const atlas = await startAtlas(t)
    const connection = await connect(atlas, netbox, 'lab')
    const run = await sync(atlas, connection)
    const device = await findDevice(atlas)
    const [address] = await search(atlas, { kind: 'ip-address', sort: 'name', limit: '1' })
    assert.ok(address)

    await t.test('the inventory holds exactly what NetBox holds', async () => {
      assert.equal(run.state, 'succeeded')
      assert.deepEqual(sorted(await counts(atlas)), sorted(expected))
    })
    await t.test('REST finds the device and the address by name, part of the name, serial and IP', async () => {
      const ip = address.name.replace(/\/.*/, '')
      const ways: [string, string][] = [
        [device.name, device.name],
        [device.name.slice(2, -1), device.name],
        [device.name.toUpperCase(), device.name],
        [ip, address.name],
        ...(device.serial ? [[device.serial, device.name] as [string, string]] : []),
      ]
      for (const [q, name] of ways)
        assert.ok(
          (await search(atlas, { q, limit: '200' })).some((asset) => asset.name === name),
          `${q} finds ${name}`,
        )
    })
    await t.test('without a token every answer is 401 and holds nothing', async () => {
      for (const token of [undefined, 'none', 'atl_0000000000_0000000000000000000000000000000000000000000_000000']) {
        const answer = await atlas.ask<{ type: string }>('GET', `/api/v1/assets?q=${device.name}`, { token })
        assert.deepEqual([answer.status, answer.body.type], [401, '/docs/problems#unauthenticated'])
        assert.doesNotMatch(answer.text, new RegExp(device.name))
      }
    })
    for (const revision of Object.keys(revisions) as Revision[])
      for (const stdio of [false, true])
        await t.test(`the official MCP client finds both (${revision}, ${stdio ? 'atlas mcp' : 'HTTP'})`, async (s) => {
          await agentFinds(s, atlas, { revision, stdio }, [device.name, address.name])
        })
    await t.test('the CLI finds both', async () => {
      for (const name of [device.name, address.name]) {
        const answer = await atlas.cli(['search', name, '--json'])
        assert.equal(answer.code, 0, answer.stderr)
        assert.ok(JSON.parse(answer.stdout).items.some((asset: Asset) => asset.name === name))
      }
    })
    await t.test('the log verifies online and offline', async (s) => {
      await assertLogVerifies(s, atlas)
    })
  })

/** A fresh agent lists its tools and finds these assets; the log holds the start and the success of each call. */
async function agentFinds(
  t: TestContext,
  atlas: Atlas,
  options: { revision: Revision; stdio: boolean },
  names: readonly string[],
): Promise<void> {
  const agent = `agent ${options.revision} ${options.stdio}`
  const { token } = await atlas.api<{ token: string }>('POST', '/tokens', { name: agent, agent, role: 'viewer' })
  const client = await mcpClient(t, atlas, { ...options, token })

  const { tools } = await client.listTools()
  for (const q of names) {
    const found = await client.callTool({ name: 'inventory.assets.search', arguments: { q } })
    const { items } = found.structuredContent as { items: Asset[] }
    assert.ok(items.some(({ name }) => name === q))
  }

  assert.ok(tools.some(({ name }) => name === 'inventory.assets.search'))
  const changing = tools.filter(({ annotations }) => annotations?.readOnlyHint !== true).map(({ name }) => name)
  assert.deepEqual(changing, ['identity.tokens.revoke'], 'all that a viewer may change is its own tokens')
  const logged = (await events(atlas, { action: 'inventory.assets.search' })).filter(
    ({ principal }) => principal?.name === agent,
  )
  assert.deepEqual(
    logged.map(({ code, door, principal }) => [code, door, principal?.kind]),
    names.flatMap(() => [
      ['action.started', 'mcp', 'agent'],
      ['action.succeeded', 'mcp', 'agent'],
    ]),
  )
}

function sorted(record: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1))
}
