import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrations } from '../src/app.ts'
import { verifyExport } from '../src/features/audit/verify.ts'
import { testOnEach } from '../src/testing/databases.ts'
import { isHeader, startInProcess, type World } from './in-process.ts'

// AUD-6. What could pass for the boundary of a line, an entry, a note or a command of a terminal, in every field that callers fill.

const nasty = [
  'a\r\nb',
  'a\u2028b\u2029c\u0085d',
  '\n\n— atlas.example/log AAAA\n',
  '— forged AAAA',
  '\u001b[2J\u001b[31mred\u009b31m',
  '","code":"login.succeeded","x":"',
  '{"level":60,"msg":"forged"}\n{"level":30}',
  '../../checkpoint\u0000',
  '=cmd|calc!A1',
  '\u202eevil\u200b',
  'x'.repeat(70_000),
]

async function fillEverywhere({ api, ask, mcp }: World, text: string): Promise<void> {
  const inUrl = encodeURIComponent(text.slice(0, 500))
  const posts: [string, unknown][] = [
    ['/api/v1/users', { username: text, password: 'Vltava otter 83 gravel sings', role: 'viewer' }],
    ['/api/v1/tokens', { name: text, agent: text, role: 'viewer' }],
    ['/api/v1/secrets', { name: text, value: text, kind: text }],
    ['/api/v1/secrets', { name: 'x', value: text, [text]: text }],
    ['/api/v1/connections', { connector: 'netbox', name: text, config: { url: text }, credential: { token: text } }],
    ['/api/v1/role-bindings', { principal: text, role: text, scope: text }],
    ['/api/v1/exports', { dataset: 'assets', params: { q: text } }],
    ['/api/v1/export-plans', { name: text, dataset: text, schedule: text }],
    ['/api/v1/approvals/x1/deny', { reason: text }],
    ['/api/v1/netbox/journal', { connection: text, kind: 'device', id: text, comment: text }],
    ['/api/v1/policy/explain', { principal: text, action: text, resource: { type: text, id: text } }],
    ['/api/v1/vault/incidents', { reason: text, name: text }],
    ['/api/v1/login', { username: text, password: text }],
    ['/api/v1/setup', { setupToken: text, username: text, password: text }],
  ]
  for (const [url, body] of posts) await ask('POST', url, { body })
  for (const path of ['assets/', 'connections/', 'users/', 'audit/events?action=', 'assets?q=', ''])
    await ask('GET', `/api/v1/${path}${inUrl}`)
  await ask('PATCH', `/api/v1/connections/${inUrl}`, { body: { name: text } })
  await ask('POST', `/hooks/${inUrl}`, { body: { text }, token: undefined })
  if (isHeader(text))
    for (const name of ['user-agent', 'x-forwarded-for', 'x-request-id', 'atlas-approval', 'authorization'])
      await ask('GET', '/api/v1/me', { headers: { [name]: text } })
  await mcp('tools/call', { name: text, arguments: { [text]: text } })
  await mcp('tools/call', { name: 'inventory_search', arguments: { q: text.slice(0, 190) } })
  await mcp('resources/read', { uri: text })
  // One that is let in: its words are data of the inventory of names from here on.
  await api('POST', '/secrets', {
    name: `kept ${text.replaceAll(/[\p{C}\u2028\u2029]/gu, '').slice(0, 150)}`,
    value: text.slice(0, 9_000),
  })
}

testOnEach(
  'no field that a caller fills moves a boundary of an entry, the checkpoint, an answer’s header or a log line (AUD-6)',
  migrations,
  async (database, t) => {
    const world = await startInProcess(database)
    const folder = mkdtempSync(join(tmpdir(), 'atlas-injection-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    try {
      const { app, clock, lines } = world
      await app.audit.start({ version: '0.0.0' })
      for (const text of nasty) {
        await fillEverywhere(world, text)
        clock.forward(61_000)
      }

      const size = app.audit.size()
      const checkpoint = await app.audit.checkpoint()
      await app.audit.exportTo(join(folder, 'export'))

      const [origin, count, root, empty, signature, end, ...more] = checkpoint.split('\n')
      assert.deepEqual([origin, Number(count) >= size, empty, end, more], [app.audit.origin, true, '', '', []])
      assert.match(root ?? '', /^[A-Za-z0-9+/]{43}=$/)
      assert.ok(signature?.startsWith(`— ${app.audit.origin} `))
      const verdict = verifyExport(join(folder, 'export'), app.audit.vkey)
      assert.ok(verdict.ok && verdict.size >= size && size > 200, JSON.stringify(verdict))
      for (let index = 0; index < size; index++) {
        const { leaf } = await app.audit.read(index)
        assert.match(leaf.toString('latin1'), /^\{[\x20-\x7e]*\}$/, `entry ${index}`)
        assert.equal((JSON.parse(leaf.toString()) as { seq: number }).seq, index)
        assert.doesNotMatch(leaf.toString(), /forged|evil|calc|xxxxx/)
      }
      for (const line of lines) {
        assert.match(line, /^\{[^\p{C}\u2028\u2029]*\}\n$/u)
        assert.doesNotMatch(line, /^\{"level":60/)
      }
      for (const { where, bytes } of world.places) {
        const [headers = ''] = bytes.toString().split('}')
        assert.doesNotMatch(headers, /forged|evil|\\r|\\n/, where)
      }
      t.diagnostic(`${size} entries, ${world.places.length} answers, ${lines.length} log lines`)
    } finally {
      await world.stop()
    }
  },
)
