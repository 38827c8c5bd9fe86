import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import { testDoors, tokens } from '../../testing/doors.ts'
import { attachment } from './disposition.ts'

const auth = (token: string) => ({ authorization: `Bearer ${token}` })
const hash = 'ab'.repeat(32)

type File = { name?: string; mediaType?: string; bytes?: number; access?: Action['access'] }

/** The real gate and door around a stand-in for the room's one action, and a file on the disk. */
function setUp(
  t: TestContext,
  { name = 'a.csv', mediaType = 'text/csv; charset=utf-8', bytes = 5, access = 'read' }: File = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-door-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'file')
  writeFileSync(path, 'x'.repeat(bytes))
  const asked: string[] = []
  const download = defineAction({
    name: 'exports.exports.download',
    title: 'Download',
    description: 'Downloads.',
    access,
    http: { method: 'GET', path: '/exports/{export}/download' },
    input: z.strictObject({ export: z.string() }),
    output: z.object({ name: z.string(), mediaType: z.string(), bytes: z.int(), sha256: z.string() }),
    resource: (input) => ({ type: 'export', id: input.export }),
    run: async (input) => {
      if (input.export === 'foreign') throw new Problem('not-found', 'There is no such export')
      if (input.export === 'old') throw new Problem('gone')
      return { name, mediaType, bytes, sha256: hash }
    },
  })
  const doors = testDoors({
    actions: [download],
    parts: {
      exportFile: async (id) => {
        asked.push(id)
        return id === 'lost' ? undefined : open(path)
      },
    },
  })
  return { ...doors, asked, path }
}

const url = (id: string) => `/api/v1/exports/${id}/content`

test('the bytes of an export come as an attachment that nothing keeps or guesses at (claims: A33)', async (t) => {
  const { app, asked, events } = setUp(t)

  const answer = await app.inject({ url: url('exp_1'), headers: auth(tokens.viewer) })

  const { headers } = answer
  assert.deepEqual([answer.statusCode, answer.body, asked], [200, 'xxxxx', ['exp_1']])
  assert.deepEqual(
    [
      'content-type',
      'content-length',
      'content-disposition',
      'x-content-type-options',
      'cache-control',
      'accept-ranges',
    ].map((name) => headers[name]),
    [
      'text/csv; charset=utf-8',
      '5',
      `attachment; filename="a.csv"; filename*=UTF-8''a.csv`,
      'nosniff',
      'no-store',
      'none',
    ],
  )
  assert.equal(headers['repr-digest'], `sha-256=:${Buffer.from(hash, 'hex').toString('base64')}:`)
  assert.deepEqual(
    events.map(({ code, action }) => [code, action]),
    [
      ['action.started', 'exports.exports.download'],
      ['action.succeeded', 'exports.exports.download'],
    ],
  )
})

test('HEAD says the same without the bytes, and is decided and recorded alike', async (t) => {
  const { app, events } = setUp(t)

  const [head, whole] = await Promise.all(
    (['HEAD', 'GET'] as const).map((method) => app.inject({ method, url: url('exp_1'), headers: auth(tokens.viewer) })),
  )
  const stranger = await app.inject({ method: 'HEAD', url: url('exp_1') })
  const nobody = await app.inject({ method: 'HEAD', url: url('exp_1'), headers: auth(tokens.nobody) })

  const own = ['content-type', 'content-length', 'content-disposition', 'repr-digest']
  assert.deepEqual([head?.statusCode, head?.body], [200, ''])
  for (const name of own) assert.equal(head?.headers[name], whole?.headers[name], name)
  assert.deepEqual([stranger.statusCode, nobody.statusCode], [401, 403])
  assert.equal(events.filter(({ code }) => code === 'action.succeeded').length, 2)
})

const refusals: readonly [title: string, id: string, token: string | undefined, status: number][] = [
  ['no token', 'exp_1', undefined, 401],
  ['a role without it', 'exp_1', tokens.nobody, 403],
  ['an export of somebody else', 'foreign', tokens.viewer, 404],
  ['an export past its time', 'old', tokens.viewer, 410],
  ['a file that is lost', 'lost', tokens.viewer, 410],
  ['a path in place of an id', '..%2f..%2fetc', tokens.viewer, 404],
  ['an empty id', '', tokens.viewer, 404],
]
for (const [title, id, token, status] of refusals)
  test(`${title} gives ${status} and no byte`, async (t) => {
    const { app, asked } = setUp(t)

    const answer = await app.inject({ url: url(id), headers: token === undefined ? {} : auth(token) })

    assert.deepEqual([answer.statusCode, answer.headers['content-type']], [status, 'application/problem+json'])
    assert.deepEqual([answer.headers['content-disposition'], asked], [undefined, id === 'lost' ? ['lost'] : []])
  })

test('where policy asks for a person’s yes there are no bytes before it', async (t) => {
  const { app, asked, approveAll } = setUp(t, { access: 'destroy' })
  const send = () => app.inject({ url: url('exp_1'), headers: auth(tokens.admin) })

  const first = await send()
  approveAll()
  const second = await send()

  assert.deepEqual([first.statusCode, first.headers['location']], [202, '/api/v1/approvals/apr_1'])
  assert.deepEqual([second.statusCode, asked], [200, ['exp_1']])
})

const nothing = [
  '/data/exports/exp_1',
  '/exports/exp_1',
  '/exports/',
  '/data/',
  '/data/atlas.db',
  '/data/root.key',
  '/reports/',
  '/logs/',
  '/./exports/exp_1',
  '/api/v1/exports/exp_1/content/',
  '/api/v1/exports/exp_1/content/..',
  '/api/v1/exports/exp_1',
]
test('no folder of the data is served, signed in or not (claims: A32)', async (t) => {
  const { app, asked } = setUp(t)
  for (const path of nothing)
    for (const headers of [{}, auth(tokens.admin)]) {
      const { statusCode } = await app.inject({ url: path, headers })
      assert.equal(statusCode, 404, path)
    }
  assert.deepEqual(asked, [])
})

test('a client that goes away closes the file', async (t) => {
  const { app, path } = setUp(t, { bytes: 50_000_000 })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.after(() => app.close())
  const { port } = app.server.address() as AddressInfo

  await new Promise<void>((resolve, reject) => {
    const request = get({ port, path: url('exp_1'), headers: auth(tokens.viewer) }, (response) => {
      response.once('data', () => {
        assert.equal(isOpen(path), true)
        request.destroy()
        resolve()
      })
      response.on('error', () => {})
    })
    request.on('error', reject)
  })

  for (let i = 0; i < 400 && isOpen(path); i++) await sleep(5)
  assert.equal(isOpen(path), false)
})

function isOpen(path: string): boolean {
  return readdirSync('/proc/self/fd').some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path
    } catch {
      return false
    }
  })
}

// RFC 6266 and RFC 8187, worked out by hand.
const dispositions: readonly [name: string, plain: string, extended: string][] = [
  ['a.csv', 'a.csv', 'a.csv'],
  ['CMDB of week 3.xlsx', 'CMDB of week 3.xlsx', 'CMDB%20of%20week%203.xlsx'],
  ['Größe.csv', 'Gr__e.csv', 'Gr%C3%B6%C3%9Fe.csv'],
  ['€ rates.csv', '_ rates.csv', '%E2%82%AC%20rates.csv'],
  ['🚀.csv', '_.csv', '%F0%9F%9A%80.csv'],
  ['a"; filename="b.exe', 'a__ filename=_b.exe', 'a%22%3B%20filename%3D%22b.exe'],
  ['a\\".csv', 'a__.csv', 'a%5C%22.csv'],
  ['a\r\nSet-Cookie: x=1', 'a__Set-Cookie_ x=1', 'a%0D%0ASet-Cookie%3A%20x%3D1'],
  ["it's (1)*.csv", 'it_s (1)_.csv', 'it%27s%20%281%29%2A.csv'],
  ['100%.csv', '100_.csv', '100%25.csv'],
  ['../etc', '.._etc', '..%2Fetc'],
  ['\ud83d', '_', '%EF%BF%BD'],
]
for (const [name, plain, extended] of dispositions)
  test(`the name ${JSON.stringify(name)} is sent so that it can only be a name`, async (t) => {
    const { app } = setUp(t, { name })

    const { headers } = await app.inject({ url: url('exp_1'), headers: auth(tokens.viewer) })

    assert.equal(headers['content-disposition'], attachment(name))
    assert.equal(attachment(name), `attachment; filename="${plain}"; filename*=UTF-8''${extended}`)
  })
