import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { SyncBatch } from '../../core/connector.ts'
import { Secret } from '../../core/secret.ts'
import { type Exchange, upstream } from '../../testing/upstream.ts'
import { zadaraVpsa } from './index.ts'

const config = { url: 'https://vsa.example.net', pageSize: 500 }
const page = (list: string, start = 0, limit = 500) => `GET /api/${list}.json?start=${start}&limit=${limit}`
const everything: readonly Exchange[] = ['pools', 'servers', 'volumes', 'snapshots', 'vcontrollers', 'drives'].map(
  (list) => ({ request: page(list), reply: `${list}.json` }),
)
const without = (list: string) => everything.filter(({ request }) => request !== page(list))

async function run(t: TestContext, exchanges: readonly Exchange[], pageSize = 500) {
  const context = upstream(t, import.meta.dirname, exchanges, { config: { ...config, pageSize } })
  const batches: SyncBatch[] = []
  const steps = zadaraVpsa.sync?.(context)
  assert.ok(steps)
  for (;;) {
    const step = await steps.next()
    if (step.done) return { batches, observations: batches.flatMap((batch) => batch.observations ?? []) }
    batches.push(step.value)
  }
}

test('A sync reports every kind of thing, with what it says and what it belongs to', async (t) => {
  const { batches, observations } = await run(t, everything)

  const wanted = JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures/observations.json'), 'utf8'))
  assert.deepEqual(observations, wanted)
  assert.deepEqual(
    batches.map(({ stage, total, full }) => [stage, total, full]),
    [
      ['pools', 1, true],
      ['servers', 6, true],
      ['volumes', 1, true],
      ['snapshots', 2, true],
      ['controllers', 2, true],
      ['drives', 1, true],
    ],
  )
})

test('A CHAP secret never gets past the schema', async (t) => {
  const { observations } = await run(t, everything)

  assert.match(readFileSync(join(import.meta.dirname, 'fixtures/servers.json'), 'utf8'), /canary-chap-1/)
  assert.match(readFileSync(join(import.meta.dirname, 'fixtures/vcontrollers.json'), 'utf8'), /canary-chap-3/)
  assert.doesNotMatch(JSON.stringify(observations), /canary|chap/i)
})

const volumes = (first: number, last: number, count?: number) => ({
  response: {
    status: 0,
    ...(count !== undefined && { count }),
    volumes: Array.from({ length: last - first + 1 }, (_, i) => ({ name: `volume-0000000${first + i}` })),
  },
})
const paging: readonly {
  readonly title: string
  readonly replies: readonly (readonly [number, unknown])[]
  readonly seen?: string
  readonly refused?: string
}[] = [
  {
    title: 'each page begins with the last row of the page before',
    replies: [
      [0, volumes(1, 3, 5)],
      [2, volumes(3, 5, 5)],
      [4, volumes(5, 5, 5)],
    ],
    seen: '12345',
  },
  { title: 'a short page is the last', replies: [[0, volumes(1, 2, 2)]], seen: '12' },
  {
    title: 'a count of the page is no count of the list',
    replies: [
      [0, volumes(1, 3, 3)],
      [2, volumes(3, 4, 2)],
    ],
    seen: '1234',
  },
  {
    title: 'a page that the array cut short is not the last while the count says more',
    replies: [
      [0, volumes(1, 2, 3)],
      [1, volumes(2, 3, 3)],
    ],
    seen: '123',
  },
  { title: 'an array that ignores the limit has sent everything', replies: [[0, volumes(1, 5, 5)]], seen: '12345' },
  {
    title: 'when a row before the page is deleted meanwhile, the list is read again',
    replies: [
      [0, volumes(1, 3)],
      [2, volumes(4, 5)],
      [0, volumes(2, 4)],
      [2, volumes(4, 5)],
    ],
    seen: '1232345',
  },
  {
    title: 'an array that ignores the start ends the sync',
    replies: [
      [0, volumes(1, 3)],
      [2, volumes(1, 3)],
      [0, volumes(1, 3)],
      [2, volumes(1, 3)],
      [0, volumes(1, 3)],
      [2, volumes(1, 3)],
    ],
    refused: 'upstream-busy',
  },
  {
    title: 'a count without rows ends the sync',
    replies: [[0, { response: { status: 0, count: 7 } }]],
    refused: 'upstream-invalid',
  },
]
for (const { title, replies, seen, refused } of paging) {
  test(`Paging: ${title}`, async (t) => {
    const others = refused === undefined ? without('volumes') : everything.slice(0, 2)
    const limited = others.map((one) => ({ ...one, request: one.request.replace('limit=500', 'limit=3') }))
    const small = limited.map((one) => (one.reply === 'servers.json' ? { ...one, reply: 'empty.json' } : one))
    const reading = run(
      t,
      [...small, ...replies.map(([start, reply]) => ({ request: page('volumes', start, 3), reply }))],
      3,
    )

    if (refused !== undefined) return assert.rejects(reading, { type: refused })
    const ids = (await reading).observations
      .filter(({ kind }) => kind === 'volume')
      .map(({ externalId }) => externalId.at(-1))
    assert.equal(ids.join(''), seen)
  })
}

test('An answer that is not the VPSA ends the sync instead of emptying the inventory (claims: D30)', async (t) => {
  for (const reply of [
    {},
    [],
    null,
    'x',
    { response: {} },
    { response: { status: 0, pools: 'none' } },
    { response: { status: 0, pools: [{}] } },
    { response: { status: 0, pools: [{ name: '../x' }] } },
    { response: { pools: [] } },
  ])
    await assert.rejects(
      run(t, [{ request: page('pools'), reply }]),
      { type: 'upstream-invalid' },
      JSON.stringify(reply),
    )
})

test('The check names the version of the active controller, and says when none is', async (t) => {
  const request = 'GET /api/vcontrollers.json?start=0&limit=20'
  const checked = (reply: unknown) =>
    zadaraVpsa.check(upstream(t, import.meta.dirname, [{ request, reply }], { config }))

  assert.deepEqual(await checked('vcontrollers.json'), { version: '23.09-sp1-120', warnings: [] })
  assert.deepEqual(await checked('empty.json'), {
    version: 'unknown',
    warnings: ['No controller of this VPSA is active.'],
  })
})

test('The key travels in its header only', () => {
  const request = { method: 'GET', target: '/', host: 'h', headers: {}, body: undefined, now: new Date(0) }
  assert.deepEqual(zadaraVpsa.authenticate({ accessKey: new Secret('ABCDEFGH-1') }, request, undefined), {
    'x-access-key': 'ABCDEFGH-1',
  })
})

test('Only https addresses without a user are taken, and keys that fit a header (claims: D11)', () => {
  for (const url of [
    'http://vsa.example.net',
    'https://u:p@vsa.example.net',
    'https://vsa.example.net/?x=1',
    'vsa.example.net',
  ])
    assert.equal(zadaraVpsa.config.safeParse({ url }).success, false, url)
  assert.deepEqual(zadaraVpsa.config.parse({ url: config.url }), config)
  for (const accessKey of ['', 'short', 'with space in it', 'line\r\nbreak-1234'])
    assert.equal(zadaraVpsa.credential.safeParse({ accessKey }).success, false, accessKey)
})
