import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { startNetbox } from '../../simulators/netbox/start.ts'
import { type Atlas, newFolder, startAtlas } from '../../src/testing/server.ts'
import { workbookOf } from '../../src/testing/workbook.ts'
import { assertLogVerifies, connect, events, eventually, search, sync } from './steps.ts'

// Files of what Atlas knows, on the running program: made, shared, published, and gone when they should be.

const password = 'Vltava otter 83 gravel sings'

type Export = {
  readonly id: string
  readonly state: string
  readonly rows: number
  readonly bytes: number
  readonly sha256: string
  readonly problem: { readonly type: string; readonly detail: string } | null
  readonly downloads: readonly { readonly by: { readonly name: string }; readonly from: string | null }[]
}
type Plan = {
  readonly id: string
  readonly lastExport: string
  readonly publication: { readonly state: string; readonly approval?: string } | null
}

async function lab(t: TestContext, devices = 40) {
  const netbox = await startNetbox({ seed: 3, devices, vms: devices })
  t.after(netbox.stop)
  const folder = newFolder(t)
  const atlas = await startAtlas(t, { folder })
  const connection = await connect(atlas, netbox, 'lab')
  assert.equal((await sync(atlas, connection)).state, 'succeeded')
  const signIn = async (username: string, role: string) => {
    await atlas.api('POST', '/users', { username, password, role })
    const { token } = await atlas.api<{ token: string }>('POST', '/login', { username, password }, 'none')
    const { id } = await atlas.api<{ id: string }>('GET', '/me', undefined, token)
    return { token, id }
  }
  return { netbox, atlas, folder, connection, signIn, files: join(atlas.dataDir, 'exports') }
}

const ready = (atlas: Atlas, id: string, token?: string) =>
  eventually(async () => {
    const view = await atlas.api<Export>('GET', `/exports/${id}`, undefined, token)
    return view.state === 'running' ? undefined : view
  })

test('a workbook is made, downloaded and compared by the command line, and lies where nobody else can read it', async (t) => {
  const { atlas, folder, files } = await lab(t)

  const made = await atlas.cli(['export', 'cmdb', '-o', 'cmdb.xlsx', '--json'])
  const twice = await atlas.cli(['exports', 'download', (JSON.parse(made.stdout) as { export: string }).export])
  const again = await atlas.cli(['exports', 'download', (JSON.parse(made.stdout) as { export: string }).export])
  const csv = await atlas.cli(['export', 'assets', 'kind=device', '-f', 'csv', '--sanitised', '-o', 'devices.csv'])
  const nowhere = await atlas.cli(['export', 'assets', '-o', 'none/devices.csv'])
  const wrong = await atlas.cli(['export', 'assets', 'colour=red'])

  assert.equal(made.code, 0, made.stderr)
  const answer = JSON.parse(made.stdout) as { file: string; sha256: string; bytes: number }
  const bytes = readFileSync(join(folder, 'cmdb.xlsx'))
  assert.deepEqual(
    [answer.file, answer.bytes, answer.sha256],
    ['cmdb.xlsx', bytes.length, createHash('sha256').update(bytes).digest('hex')],
  )
  const { sheets, hasFormula } = workbookOf(bytes)
  assert.deepEqual(
    [sheets.map(({ name, rows }) => [name, rows.length]), hasFormula],
    [
      [
        ['Devices', 41],
        ['Virtual machines', 41],
        ['Merged', 81],
      ],
      false,
    ],
  )
  const own = `cmdb ${new Date().toISOString().slice(0, 10)}.xlsx`
  assert.deepEqual([twice.code, readFileSync(join(folder, own)).equals(bytes)], [0, true])
  assert.deepEqual([again.code, again.stderr.includes('exists')], [1, true], 'a file is not replaced unasked')
  const text = readFileSync(join(folder, 'devices.csv'), 'utf8')
  const names = (await search(atlas, { kind: 'device' })).map(({ name }) => name)
  assert.deepEqual([csv.code, text.split('\r\n').length], [0, 42])
  assert.deepEqual(
    names.filter((name) => text.includes(name)),
    [],
  )
  assert.deepEqual([nowhere.code, wrong.code], [2, 2], wrong.stderr)
  assert.equal(statSync(files).mode & 0o777, 0o700)
  assert.deepEqual(
    readdirSync(files).map((name) => statSync(join(files, name)).mode & 0o777),
    [0o600, 0o600],
  )
})

test('only its owner, who it is shared with and administrators get a file, and no path leads around that (claims: A32, A33)', async (t) => {
  const { atlas, signIn } = await lab(t)
  const [dora, vera, omar] = await Promise.all([
    signIn('dora', 'developer'),
    signIn('vera', 'viewer'),
    signIn('omar', 'operator'),
  ])
  const get = (path: string, token: string | undefined) => atlas.ask('GET', path, { token })
  const body = { dataset: 'assets', format: 'csv', params: { kind: 'device' } }
  assert.equal((await atlas.ask('POST', '/api/v1/exports', { token: vera.token, body })).status, 403)
  const { id } = await atlas.api<Export>('POST', '/exports', body, dora.token)
  await ready(atlas, id, dora.token)
  const content = `/api/v1/exports/${id}/content`
  const statuses = async () =>
    Promise.all(
      [dora.token, vera.token, omar.token, undefined].map(async (token) => (await get(content, token)).status),
    )

  const before = await statuses()
  await atlas.api('PUT', `/exports/${id}/access`, { principals: [vera.id] }, dora.token)
  const shared = await statuses()
  const denied = await atlas.ask('PUT', `/api/v1/exports/${id}/access`, { token: vera.token, body: { principals: [] } })
  await atlas.api('PUT', `/exports/${id}/access`, { principals: [] }, dora.token)
  const after = await statuses()

  assert.deepEqual(
    [before, shared, after],
    [
      [200, 404, 404, 401],
      [200, 200, 404, 401],
      [200, 404, 404, 401],
    ],
  )
  assert.equal(denied.status, 403)
  for (const path of [`/data/exports/${id}`, `/exports/${id}`, '/exports/', '/data/atlas.db', '/reports/', '/logs/'])
    for (const token of [undefined, dora.token]) assert.equal((await get(path, token)).status, 404, path)
  const { downloads } = await atlas.api<Export>('GET', `/exports/${id}`, undefined, dora.token)
  assert.deepEqual(downloads.map(({ by }) => by.name).sort(), ['dora', 'dora', 'dora', 'vera'])
  assert.ok(downloads.every(({ from }) => from === '127.0.0.1'))
  const recorded = (await events(atlas)).filter(({ action }) => action === 'exports.exports.download')
  assert.equal(recorded.filter(({ code }) => code === 'action.succeeded').length, 4)
  await assertLogVerifies(t, atlas)
})

test('an agent asks before it exports, and who it works for may read what it made', async (t) => {
  const { atlas, signIn } = await lab(t)
  const rosa = await signIn('rosa', 'admin')
  const issued = { name: 'helper', agent: 'helper', role: 'developer' }
  const { token } = await atlas.api<{ token: string }>('POST', '/tokens', issued)
  const ask = () =>
    atlas.ask<{ pending?: string; id?: string }>('POST', '/api/v1/exports', { token, body: { dataset: 'assets' } })

  const { status, body } = await ask()
  assert.equal(status, 202)
  await atlas.api('POST', `/approvals/${body.pending}/approve`, {}, rosa.token)
  const made = await ask()

  assert.deepEqual([made.status, (await ready(atlas, made.body.id ?? '', token)).state], [200, 'ready'])
})

test('kill -9 during exports: after the restart they are failed, their files are gone, and the others are whole', async (t) => {
  const { atlas, folder, files } = await lab(t, 1_500)
  const { id: whole } = await atlas.api<Export>('POST', '/exports', { dataset: 'assets', format: 'csv' })
  const before = await ready(atlas, whole)
  const started = []
  for (let i = 0; i < 5; i++)
    started.push(await atlas.api<Export>('POST', '/exports', { dataset: 'assets', format: 'xlsx' }))
  await eventually(async () => (readdirSync(files).some((name) => name.endsWith('.part')) ? true : undefined))
  await atlas.stop('SIGKILL')
  const left = readdirSync(files)
  assert.ok(left.some((name) => name.endsWith('.part')))

  const after = await startAtlas(t, { folder })

  const views = await Promise.all(started.map(({ id }) => after.api<Export>('GET', `/exports/${id}`)))
  const last = views.at(-1)
  assert.deepEqual([last?.state, last?.problem?.type], ['failed', 'cancelled'])
  assert.deepEqual(
    readdirSync(files).sort(),
    [whole, ...views.filter(({ state }) => state === 'ready').map(({ id }) => id)].sort(),
  )
  const fetched = await after.cli(['exports', 'download', whole, '-o', 'whole.csv', '--json'])
  assert.deepEqual([fetched.code, (JSON.parse(fetched.stdout) as Export).sha256], [0, before.sha256])
  const removed = await after.cli(['exports', 'remove', whole])
  assert.deepEqual([removed.code, existsSync(join(files, whole))], [0, false])
})

test('a plan’s file waits for a yes before it changes a connected system, and then arrives', async (t) => {
  const { atlas, netbox, signIn } = await lab(t)
  const [dora, rosa] = [await signIn('dora', 'operator'), await signIn('rosa', 'admin')]
  const [device] = await search(atlas, { kind: 'device', limit: '1' })
  const { externalId } = await atlas.api<{ externalId: string }>('GET', `/assets/${device?.id}`)
  const comments = () =>
    netbox.requests.filter(({ method, path }) => method === 'POST' && path === '/api/extras/journal-entries/').length
  const input = { connection: 'lab', kind: 'device', id: externalId, comment: 'See {{name}}' }
  const plan = {
    ...{ name: 'Weekly', dataset: 'cmdb', schedule: '0 6 * * 1' },
    publish: { action: 'netbox.journal.add', input },
  }
  const vera = await signIn('vera', 'developer')
  const refused = await atlas.ask('POST', '/api/v1/export-plans', { token: vera.token, body: plan })
  const { id } = await atlas.api<Plan>('POST', '/export-plans', plan, dora.token)
  const publication = (state: string) =>
    eventually(async () => {
      const { items } = await atlas.api<{ items: Plan[] }>('GET', '/export-plans', undefined, dora.token)
      return items[0]?.publication?.state === state ? items[0].publication : undefined
    })

  await atlas.api('POST', `/export-plans/${id}/run`, {}, dora.token)
  const { approval } = await publication('pending')
  const before = comments()
  await atlas.api('POST', `/approvals/${approval}/approve`, { reason: 'seen' }, rosa.token)
  // The schedule sees the yes by itself.
  await publication('done')

  assert.deepEqual([refused.status, before, comments()], [403, 0, 1])
})
