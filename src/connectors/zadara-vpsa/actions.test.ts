import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Context, handlerOf } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import { type Exchange, upstream } from '../../testing/upstream.ts'
import { zadaraVpsa } from './index.ts'

const config = { url: 'https://vsa.example.net', pageSize: 500 }

/** Runs an action as the gate does: parsed input, a connection, a checked output. */
async function call(t: TestContext, name: string, input: Record<string, unknown>, exchanges: readonly Exchange[]) {
  const action = zadaraVpsa.actions.find((one) => one.name === name)
  assert.ok(action, name)
  const parsed = action.input.parse({ connection: 'vpsa', ...input })
  const { http, signal } = upstream(t, import.meta.dirname, exchanges, { config })
  const context: Context = {
    principal: { id: 'usr_1', kind: 'user', name: 'Ana', bindings: [], version: '1' },
    door: 'http',
    requestId: 'req_1',
    signal,
    connection: { id: 'con_1', config, http },
  }
  return action.output.parse(await handlerOf(action).run(parsed, context))
}

test('Each action has its access and its route', () => {
  assert.deepEqual(
    zadaraVpsa.actions.map(({ name, access, http }) => [name, access, http.method, http.path]),
    [
      ['vpsa.volumes.list', 'read', 'GET', '/connections/{connection}/vpsa/volumes'],
      ['vpsa.volume.get', 'read', 'GET', '/connections/{connection}/vpsa/volumes/{id}'],
      ['vpsa.volume.create', 'write', 'POST', '/connections/{connection}/vpsa/volumes'],
      ['vpsa.volume.expand', 'write', 'POST', '/connections/{connection}/vpsa/volumes/{id}/expand'],
      ['vpsa.performance.get', 'read', 'GET', '/connections/{connection}/vpsa/performance/{kind}/{id}'],
      ['vpsa.snapshot.create', 'write', 'POST', '/connections/{connection}/vpsa/volumes/{volume}/snapshots'],
      ['vpsa.volume.delete', 'destroy', 'DELETE', '/connections/{connection}/vpsa/volumes/{id}'],
      ['vpsa.snapshot.delete', 'destroy', 'DELETE', '/connections/{connection}/vpsa/snapshots/{id}'],
    ],
  )
})

const volume = {
  id: 'volume-00000012',
  name: 'app01-data',
  status: 'in-use',
  dataType: 'BLOCK',
  capacityGb: 100,
  allocatedGb: 42,
  pool: 'pool-00010001',
  isEncrypted: false,
  servers: ['srv-00000003', 'srv-00000007'],
  createdAt: '2026-03-02T10:11:12.000Z',
}
const grown = {
  ...volume,
  status: 'available',
  capacityGb: 150,
  isEncrypted: null,
  servers: [],
  createdAt: null,
}
const id = 'volume-00000012'
const readAttached: Exchange = { request: `GET /api/volumes/${id}.json`, reply: 'volume.json' }
const readFree: Exchange = { request: `GET /api/volumes/${id}.json`, reply: 'volume-free.json' }
const byName: Exchange = {
  request: 'GET /api/volumes.json?start=0&limit=200&display_name=app01-data',
  reply: 'volumes.json',
}
const noneByName: Exchange = { ...byName, reply: 'empty.json' }
const group = '/api/consistency_groups/cg-0000000c/snapshots.json'
const groupSnapshots: Exchange = { request: `GET ${group}?start=0&limit=1000`, reply: 'snapshots.json' }
const wanted = { name: 'app01-data', pool: 'pool-00010001', capacityGb: 100 }
const creation = {
  name: 'app01-data',
  capacity: '100G',
  pool: 'pool-00010001',
  block: 'YES',
  thin: 'YES',
  attachpolicies: 'NO',
}
const listed = { ...volume, isEncrypted: true }

const works: readonly {
  readonly title: string
  readonly name: string
  readonly input: Record<string, unknown>
  readonly exchanges: readonly Exchange[]
  readonly output: unknown
}[] = [
  {
    title: 'A page of volumes is listed by position',
    name: 'vpsa.volumes.list',
    input: { limit: 1, cursor: 4, type: 'file', name: 'app01-data' },
    exchanges: [
      {
        request: 'GET /api/volumes.json?start=4&limit=1&display_name=app01-data&showonlyfile=YES',
        reply: 'volumes.json',
      },
    ],
    output: { items: [listed], next: 5 },
  },
  {
    title: 'The last page has no next',
    name: 'vpsa.volumes.list',
    input: {},
    exchanges: [{ request: 'GET /api/volumes.json?start=0&limit=50', reply: 'volumes.json' }],
    output: { items: [listed], next: null },
  },
  { title: 'A volume is read', name: 'vpsa.volume.get', input: { id }, exchanges: [readAttached], output: volume },
  {
    title: 'A volume is created and read back',
    name: 'vpsa.volume.create',
    input: { ...wanted, encrypted: true },
    exchanges: [
      noneByName,
      { request: 'POST /api/volumes.json', body: { ...creation, crypt: 'YES' }, reply: 'done.json' },
      byName,
    ],
    output: { ...listed, created: true },
  },
  {
    title: 'A volume that only the filter of the array takes for the same is not the same',
    name: 'vpsa.volume.create',
    input: wanted,
    exchanges: [
      { ...byName, reply: { response: { status: 0, volumes: [{ name: 'volume-1', display_name: 'app01-data-2' }] } } },
      { request: 'POST /api/volumes.json', body: creation, reply: 'done.json' },
      byName,
    ],
    output: { ...listed, created: true },
  },
  {
    title: 'A volume that is there already is not created twice',
    name: 'vpsa.volume.create',
    input: wanted,
    exchanges: [byName],
    output: { ...listed, created: false },
  },
  {
    title: 'A volume grows by the difference to the wanted size',
    name: 'vpsa.volume.expand',
    input: { id, capacityGb: 150 },
    exchanges: [
      readAttached,
      { request: `POST /api/volumes/${id}/expand.json`, body: { capacity: '50G' }, reply: 'done.json' },
      readFree,
    ],
    output: { ...grown, previousCapacityGb: 100, changed: true },
  },
  {
    title: 'A volume that has the wanted size is left alone',
    name: 'vpsa.volume.expand',
    input: { id, capacityGb: 100 },
    exchanges: [readAttached],
    output: { ...volume, previousCapacityGb: 100, changed: false },
  },
  {
    title: "A snapshot is taken of the volume's consistency group",
    name: 'vpsa.snapshot.create',
    input: { volume: id, name: 'nightly-1' },
    exchanges: [
      readAttached,
      { ...groupSnapshots, reply: 'empty.json' },
      { request: `POST ${group}`, body: { display_name: 'nightly-1' }, reply: 'done.json' },
      groupSnapshots,
    ],
    output: {
      id: 'snap-00000044',
      name: 'nightly-1',
      volume: id,
      createdAt: '2026-11-19T01:00:00.000Z',
      created: true,
    },
  },
  {
    title: 'A snapshot of the same name is not taken twice',
    name: 'vpsa.snapshot.create',
    input: { volume: id, name: 'nightly-1' },
    exchanges: [readAttached, groupSnapshots],
    output: {
      id: 'snap-00000044',
      name: 'nightly-1',
      volume: id,
      createdAt: '2026-11-19T01:00:00.000Z',
      created: false,
    },
  },
  {
    title: 'A volume is deleted when its name is repeated, without force',
    name: 'vpsa.volume.delete',
    input: { id, confirmVolumeName: 'app01-data' },
    exchanges: [readFree, { request: `DELETE /api/volumes/${id}.json`, body: { force: 'NO' }, reply: 'done.json' }],
    output: { id, name: 'app01-data', deleted: true },
  },
  {
    title: 'A snapshot is deleted when the name of its volume is repeated',
    name: 'vpsa.snapshot.delete',
    input: { id: 'snap-00000044', confirmVolumeName: 'app01-data' },
    exchanges: [
      { request: 'GET /api/snapshots/snap-00000044.json', reply: 'snapshot.json' },
      { request: 'DELETE /api/snapshots/snap-00000044.json', body: {}, reply: 'done.json' },
    ],
    output: { id: 'snap-00000044', volume: 'app01-data', deleted: true },
  },
  {
    title: 'Figures are read under the names that the array gives them',
    name: 'vpsa.performance.get',
    input: { kind: 'pool', id: 'pool-00010001', intervalSeconds: '60' },
    exchanges: [{ request: 'GET /api/pools/pool-00010001/performance.json?interval=60', reply: 'usages.json' }],
    output: {
      samples: [
        { at: '2026-11-20T11:58:00.000Z', figures: { num_ios: 120, bytes_sec: 4194304, latency: 0.8 } },
        { at: null, figures: { num_ios: 125 } },
      ],
    },
  },
]
for (const { title, name, input, exchanges, output } of works) {
  test(title, async (t) => {
    assert.deepEqual(await call(t, name, input, exchanges), output)
  })
}

const nameless = { response: { status: 0, snapshot: { name: 'snap-00000044', volume_display_name: '' } } }
const refused: readonly {
  readonly title: string
  readonly name: string
  readonly input: Record<string, unknown>
  readonly exchanges: readonly Exchange[]
  readonly type: string
}[] = [
  {
    title: 'creating a volume of a taken name with another size',
    name: 'vpsa.volume.create',
    input: { ...wanted, capacityGb: 7 },
    exchanges: [byName],
    type: 'conflict',
  },
  {
    title: 'creating a volume of a taken name in another pool',
    name: 'vpsa.volume.create',
    input: { ...wanted, pool: 'pool-2' },
    exchanges: [byName],
    type: 'conflict',
  },
  {
    title: 'a creation that left no volume',
    name: 'vpsa.volume.create',
    input: wanted,
    exchanges: [noneByName, { request: 'POST /api/volumes.json', body: creation, reply: 'done.json' }, noneByName],
    type: 'upstream-invalid',
  },
  {
    title: 'making a volume smaller',
    name: 'vpsa.volume.expand',
    input: { id, capacityGb: 50 },
    exchanges: [readAttached],
    type: 'conflict',
  },
  {
    title: 'deleting a volume under a wrong name',
    name: 'vpsa.volume.delete',
    input: { id, confirmVolumeName: 'app01-dat' },
    exchanges: [readFree],
    type: 'invalid-input',
  },
  {
    title: 'deleting a volume under its id',
    name: 'vpsa.volume.delete',
    input: { id, confirmVolumeName: id },
    exchanges: [readFree],
    type: 'invalid-input',
  },
  {
    title: 'deleting an attached volume',
    name: 'vpsa.volume.delete',
    input: { id, confirmVolumeName: 'app01-data' },
    exchanges: [readAttached],
    type: 'conflict',
  },
  {
    title: 'deleting a volume that is not there',
    name: 'vpsa.volume.delete',
    input: { id, confirmVolumeName: 'x' },
    exchanges: [{ ...readFree, reply: new Problem('not-found') }],
    type: 'not-found',
  },
  {
    title: 'deleting a snapshot under a wrong volume name',
    name: 'vpsa.snapshot.delete',
    input: { id: 'snap-00000044', confirmVolumeName: 'nightly-1' },
    exchanges: [{ request: 'GET /api/snapshots/snap-00000044.json', reply: 'snapshot.json' }],
    type: 'invalid-input',
  },
  {
    title: 'deleting a snapshot whose volume the array does not name',
    name: 'vpsa.snapshot.delete',
    input: { id: 'snap-00000044', confirmVolumeName: '' },
    exchanges: [{ request: 'GET /api/snapshots/snap-00000044.json', reply: nameless }],
    type: 'invalid-input',
  },
  {
    title: 'figures of a pool by the id of a volume',
    name: 'vpsa.performance.get',
    input: { kind: 'pool', id },
    exchanges: [],
    type: 'invalid-input',
  },
  {
    title: 'a snapshot of a volume whose group is no group',
    name: 'vpsa.snapshot.create',
    input: { volume: id, name: 'x' },
    exchanges: [{ ...readFree, reply: { response: { status: 0, volume: { name: id, cg_name: '../users/admin' } } } }],
    type: 'upstream-invalid',
  },
]
for (const { title, name, input, exchanges, type } of refused) {
  test(`Refused: ${title}`, async (t) => {
    await assert.rejects(call(t, name, input, exchanges), { type })
  })
}
