import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Client } from '@modelcontextprotocol/client'
import { startNetbox } from '../../simulators/netbox/start.ts'
import { startAtlas } from '../../src/testing/server.ts'
import { connect, events, mcpClient, search, sync } from './steps.ts'

// Who may not, and who must ask: an agent, a viewer and a reviewer on a running server.

const password = 'Vltava otter 83 gravel sings'

async function lab(t: TestContext) {
  const netbox = await startNetbox({ seed: 3, devices: 24, vms: 0 })
  t.after(netbox.stop)
  const atlas = await startAtlas(t)
  const connection = await connect(atlas, netbox, 'lab')
  assert.equal((await sync(atlas, connection)).state, 'succeeded')
  const tokenOf = async (role: string) =>
    (await atlas.api<{ token: string }>('POST', '/tokens', { name: `${role} agent`, agent: `${role} agent`, role }))
      .token
  const signIn = async (username: string, role: string) => {
    await atlas.api('POST', '/users', { username, password, role })
    return (await atlas.api<{ token: string }>('POST', '/login', { username, password }, 'none')).token
  }
  const journals = () =>
    netbox.requests.filter(({ method, path }) => method === 'POST' && path === '/api/extras/journal-entries/').length
  return { netbox, atlas, connection, tokenOf, signIn, journals }
}

test("a viewer's token cannot add a connection, over REST or MCP, and the log has each attempt", async (t) => {
  const { atlas, netbox, tokenOf } = await lab(t)
  const token = await tokenOf('viewer')
  const body = {
    connector: 'netbox',
    name: 'mine',
    config: { url: netbox.url },
    credential: { token: netbox.tokens.v2 },
  }

  const rest = await atlas.ask<{ type: string }>('POST', '/api/v1/connections', { token, body })
  const viewer = await mcpClient(t, atlas, { token })
  const { tools } = await viewer.listTools()
  await assert.rejects(viewer.callTool({ name: 'netbox.journal.add', arguments: journal('1', 'no') }), /no such tool/i)

  assert.deepEqual([rest.status, rest.body.type], [403, '/docs/problems#denied'])
  assert.ok(!tools.some(({ name }) => /add|edit|remove|start/.test(name)))
  const { items } = await atlas.api<{ items: { name: string }[] }>('GET', '/connections')
  assert.deepEqual(
    items.map(({ name }) => name),
    ['lab'],
  )
  const denied = await events(atlas, { code: 'action.failed', outcome: 'denied' })
  assert.deepEqual(
    denied.map(({ action, door, principal }) => [action, door, principal?.name]),
    [
      ['connections.connections.add', 'http', 'viewer agent'],
      ['netbox.journal.add', 'mcp', 'viewer agent'],
    ],
  )
})

test('an agent that writes waits for another person; the approved call runs once, and the next one asks again', async (t) => {
  const { atlas, tokenOf, signIn, journals } = await lab(t)
  const [device] = await search(atlas, { kind: 'device', limit: '1' })
  assert.ok(device)
  const { externalId } = await atlas.api<{ externalId: string }>('GET', `/assets/${device.id}`)
  const agentToken = await tokenOf('operator')
  const agent = await mcpClient(t, atlas, { token: agentToken })
  const reviewer = await signIn('rosa', 'operator')
  const add = () => call(agent, journal(externalId, 'Fan 2 replaced.'))

  const asked = await add()
  const askedTwice = await add()
  assert.match(asked.pending ?? '', /^apr_/)
  assert.equal(askedTwice.pending, asked.pending, 'asking twice is one request')
  assert.equal(journals(), 0)

  const approve = (token: string) =>
    atlas.ask('POST', `/api/v1/approvals/${asked.pending}/approve`, { token, body: { reason: 'seen' } })
  assert.equal((await approve(agentToken)).status, 403, 'the agent cannot approve its own call')
  assert.equal((await approve(reviewer)).status, 200)
  const changed = await call(agent, journal(externalId, 'Fan 3 replaced.'))
  assert.match(changed.pending ?? '', /^apr_/)
  assert.notEqual(changed.pending, asked.pending, 'the approval is for exactly the call that was seen')
  assert.equal(journals(), 0)

  const [done, again] = await Promise.all([add(), add()])
  assert.equal([done, again].filter(({ id }) => id !== undefined).length, 1, 'one of two racing calls runs')
  assert.equal(journals(), 1)
  const third = await add()
  assert.match(third.pending ?? '', /^apr_/)
  assert.notEqual(third.pending, asked.pending)
  assert.equal(journals(), 1)

  const steps = (await events(atlas)).filter(({ action }) => /netbox.journal|requests.approve/.test(action ?? ''))
  const codes = steps.map(({ code, principal, outcome }) => `${principal?.name}: ${code} ${outcome ?? ''}`.trim())
  assert.equal(codes.filter((line) => line === 'operator agent: action.started').length, 1)
  assert.equal(codes.filter((line) => line === 'operator agent: action.succeeded ok').length, 1)
  assert.deepEqual(
    codes.filter((line) => line.startsWith('rosa')),
    ['rosa: action.started', 'rosa: action.succeeded ok'],
  )
  assert.ok(codes.includes('operator agent: action.failed denied'), 'its attempt to approve')
})

test('a connection is read-only until it is opened: its writing tools are absent, and refuse whoever calls them', async (t) => {
  const { atlas, connection, tokenOf, journals } = await lab(t)
  const token = await tokenOf('operator')
  const operator = await mcpClient(t, atlas, { token })
  // A client may keep a list for a moment, so each look is a new client's.
  const names = async () => (await (await mcpClient(t, atlas, { token })).listTools()).tools.map(({ name }) => name)
  const body = { kind: 'device', id: '1', comment: 'no' }
  const add = () =>
    atlas.ask<{ type: string; detail: string }>('POST', `/api/v1/connections/${connection}/netbox/journal`, { body })
  assert.ok((await names()).includes('netbox.journal.add'))

  await atlas.api('PATCH', '/connections/lab', { allowWrites: false })

  assert.ok(!(await names()).includes('netbox.journal.add'))
  assert.ok((await names()).includes('netbox.devices.find'))
  await assert.rejects(
    operator.callTool({ name: 'netbox.journal.add', arguments: journal('1', 'no') }),
    /no such tool/i,
  )
  const refused = await add()
  assert.deepEqual([refused.status, refused.body.type], [403, '/docs/problems#denied'], JSON.stringify(refused.body))
  assert.match(refused.body.detail, /read-only/)
  assert.equal(journals(), 0)
  const opened = await atlas.cli(['connections', 'edit', 'lab', '--allow-writes'])
  assert.equal(opened.code, 0, opened.stderr)
  assert.ok((await names()).includes('netbox.journal.add'))
})

test('a yes is for the connection as it was: an edit in between ends it', async (t) => {
  const { atlas, tokenOf, signIn, journals } = await lab(t)
  const agent = await mcpClient(t, atlas, { token: await tokenOf('operator') })
  const reviewer = await signIn('rosa', 'operator')
  const wanted = journal('1', 'Fan 2 replaced.')
  const { pending } = await call(agent, wanted)
  const path = `/api/v1/approvals/${pending}/approve`
  assert.equal((await atlas.ask('POST', path, { token: reviewer, body: {} })).status, 200)

  await atlas.api('PATCH', '/connections/lab', { allowWrites: false })
  await atlas.api('PATCH', '/connections/lab', { allowWrites: true })
  const afterwards = await call(agent, wanted)

  assert.match(afterwards.pending ?? '', /^apr_/)
  assert.notEqual(afterwards.pending, pending)
  assert.equal(journals(), 0)
})

test('whoever may not see a connection does not learn whether there is one', async (t) => {
  const { atlas, connection } = await lab(t)
  await connectSecond(atlas, t)
  const own = await atlas.api<{ token: string }>('POST', '/tokens', {
    name: 'of one',
    agent: 'of one',
    role: 'viewer',
    scope: `connection/${connection}`,
  })
  const { items } = await atlas.api<{ items: { id: string }[] }>('GET', '/connections/other/syncs')
  const token = own.token
  const answerTo = async (path: string) => {
    const { status, body } = await atlas.ask<{ detail: string }>('GET', `/api/v1${path}`, { token })
    return [status, body.detail]
  }

  assert.equal((await answerTo('/connections/lab'))[0], 200)
  const [there, nowhere] = ['/connections/other', '/connections/nowhere']
  assert.deepEqual(await answerTo(there), await answerTo(nowhere))
  assert.deepEqual(await answerTo(`/syncs/${items[0]?.id}`), await answerTo(`/syncs/syn_${'0'.repeat(24)}`))
})

test('a denied call stays undone, and a user who asked cannot approve the own call', async (t) => {
  const { atlas, tokenOf, signIn, journals } = await lab(t)
  const agent = await mcpClient(t, atlas, { token: await tokenOf('operator') })
  const reviewer = await signIn('rosa', 'admin')
  const wanted = journal('1', 'Remove this rack.')

  const { pending } = await call(agent, wanted)
  const denied = await atlas.ask('POST', `/api/v1/approvals/${pending}/deny`, { token: reviewer, body: {} })
  const afterwards = await call(agent, wanted)

  assert.equal(denied.status, 200)
  assert.equal(afterwards.id, undefined)
  assert.equal(journals(), 0)
  const late = await atlas.ask('POST', `/api/v1/approvals/${pending}/approve`, { token: reviewer, body: {} })
  assert.equal(late.status, 409, 'a denial is final')
})

async function connectSecond(atlas: Awaited<ReturnType<typeof startAtlas>>, t: TestContext): Promise<void> {
  const netbox = await startNetbox({ seed: 5, devices: 24, vms: 0 })
  t.after(netbox.stop)
  await sync(atlas, await connect(atlas, netbox, 'other'))
}

function journal(id: string, comment: string) {
  return { connection: 'lab', kind: 'device', id, comment }
}

async function call(agent: Client, input: Record<string, unknown>): Promise<{ pending?: string; id?: string }> {
  const { structuredContent } = await agent.callTool({ name: 'netbox.journal.add', arguments: input })
  return structuredContent as { pending?: string; id?: string }
}
