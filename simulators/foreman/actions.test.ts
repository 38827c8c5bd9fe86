import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeCompany } from '../lib/company.ts'
import { as, call, canaries, connect } from './connected.ts'

test('Hosts are searched by field, page by page', async (t) => {
  const connection = await connect(t)
  const { sim } = connection
  const all: string[] = []
  let cursor: string | undefined
  do {
    const page = await call(connection, 'foreman.hosts.search', {
      name: 'vm.example',
      status: 'ok',
      limit: 7,
      ...(cursor && { cursor }),
    })
    const { items, next } = page as { items: { name: string }[]; next: string | null }
    all.push(...items.map(({ name }) => name))
    cursor = next ?? undefined
  } while (cursor)

  assert.ok(all.length > 50)
  assert.equal(new Set(all).size, all.length)
  assert.equal(
    sim.requests[0]?.query,
    new URLSearchParams({
      search: 'name ~ "vm.example" and global_status = ok and id > 0',
      order: 'id ASC',
      page: '1',
      per_page: '7',
    }).toString(),
  )
})

test('Hosts that have been silent are found by the age of their report', async (t) => {
  const truth = makeCompany({ seed: 2, devices: 240, vms: 400, copies: 2 })
  const connection = await connect(t, { truth })
  const reportedBefore = new Date(truth.now.getTime() - 8 * 86_400_000).toISOString()

  const { items } = (await call(connection, 'foreman.hosts.search', { reportedBefore, limit: 200 })) as {
    items: { reportAt: string }[]
  }

  assert.ok(items.length >= 2)
  assert.ok(items.every(({ reportAt }) => reportAt < reportedBefore))
})

test('One host is shown with its interfaces and comment, without its parameters and token', async (t) => {
  const connection = await connect(t)
  const { items } = (await call(connection, 'foreman.hosts.search', { status: 'error' })) as {
    items: { id: string }[]
  }
  const building = items[0]?.id

  const host = await call(connection, 'foreman.host.get', { id: building })

  assert.equal((host['interfaces'] as object[]).length, 1)
  assert.equal((host['attributes'] as Record<string, unknown>)['building'], true)
  assert.doesNotMatch(JSON.stringify(host), canaries)
})

test('A comment is set once; the same again writes nothing', async (t) => {
  const { sim } = await connect(t)
  const writer = as(t, sim, 'writer')
  const input = { id: '241', comment: ' Disk 3 replaced "today" ' }

  const first = await call(writer, 'foreman.host.comment', input)
  const second = await call(writer, 'foreman.host.comment', input)

  assert.deepEqual(
    [first['previousComment'], first['changed'], second['previousComment'], second['changed']],
    ['', true, 'Disk 3 replaced "today"', false],
  )
  assert.deepEqual(
    sim.requests.map(({ method, path }) => `${method} ${path}`),
    ['GET /api/hosts/241', 'PUT /api/hosts/241', 'GET /api/hosts/241'],
  )
})

test('A reader may not set a comment, and is told which permission that takes', async (t) => {
  const connection = await connect(t)

  await assert.rejects(call(connection, 'foreman.host.comment', { id: '241', comment: 'x' }), {
    type: 'upstream-denied',
    detail: "The Foreman user lacks one of these permissions: edit_hosts. Add it to the user's role.",
  })
})

test('A host that Foreman does not save is a conflict, told without its values', async (t) => {
  const { sim } = await connect(t)
  sim.spoil(241)

  await assert.rejects(call(as(t, sim, 'writer'), 'foreman.host.comment', { id: '241', comment: 'x' }), {
    type: 'conflict',
    detail:
      'Foreman does not save the host because it has values that are not valid (interfaces.mac). Correct them in Foreman first.',
  })
})

test('A host that is not there is not found', async (t) => {
  const connection = await connect(t)

  await assert.rejects(call(connection, 'foreman.host.get', { id: '999999' }), { type: 'not-found' })
})

const hostile = ['../', '1/../2', '1?x=1', '1#x', '1\r\nx: y', '%2e%2e', '1%2f2', '0', '-1', ' 1', '1e3', '']
test('An id that could leave its place in the path is refused before anything is sent (claims: D16)', async (t) => {
  const connection = await connect(t)
  for (const id of hostile) {
    for (const name of ['foreman.host.get', 'foreman.host.comment']) {
      await assert.rejects(call(connection, name, { id, comment: 'x' }), { name: 'ZodError' }, id)
    }
    await assert.rejects(call(connection, 'foreman.hosts.search', { cursor: id }), { name: 'ZodError' }, id)
  }
  assert.deepEqual(connection.sim.requests, [])
})

const words = [
  ['x" or params.root_password ~ "a', undefined],
  ['a\\', undefined],
  ['a"b', undefined],
  ['a%b', undefined],
  ['a*b', undefined],
  ['a~b', undefined],
  ['%', undefined],
  ['*', undefined],
  ['a\r\nb', undefined],
  ['../..', 'name ~ "../.."'],
  ['a/b (c) + d:e', 'name ~ "a/b (c) + d:e"'],
] as const
test('A name arrives as one word of the search or is refused, so no other field can be asked for (claims: D16)', async (t) => {
  const connection = await connect(t)
  for (const [name, search] of words) {
    connection.sim.requests.splice(0)
    const outcome = call(connection, 'foreman.hosts.search', { name })
    if (search === undefined) {
      await assert.rejects(outcome, { name: 'ZodError' }, name)
      assert.deepEqual(connection.sim.requests, [])
      continue
    }
    await outcome
    assert.deepEqual(
      connection.sim.requests.map(({ method, path, query }) => [
        method,
        path,
        new URLSearchParams(query).get('search'),
      ]),
      [['GET', '/api/hosts', `${search} and id > 0`]],
    )
  }
})

test('A comment with any characters arrives as it was given (claims: D16)', async (t) => {
  const { sim } = await connect(t)
  const comment = '../ ?# %2e%2e\r\n"quoted" \\ 日本'

  await call(as(t, sim, 'writer'), 'foreman.host.comment', { id: '241', comment })

  assert.equal((await call(as(t, sim, 'reader'), 'foreman.host.get', { id: '241' }))['comment'], comment)
})
