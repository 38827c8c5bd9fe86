import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Secret } from '../../src/core/secret.ts'
import { makeCatalog } from '../../src/gate/catalog.ts'
import { makeMetrics } from '../../src/metrics.ts'
import { startAtlas } from '../../src/testing/server.ts'

test('what happened stands in /metrics, and docs/operate/metrics.md explains each figure and no other (claims: A8)', async (t) => {
  const server = await startAtlas(t)
  const { id } = await server.api<{ id: string }>('POST', '/secrets', { name: 'canary-name', value: 'canary-value-1' })
  await server.api('PATCH', `/secrets/${id}`, { days: 1 })
  await server.ask('GET', '/api/v1/secrets/sec_000000000000000000000000')

  const text = await (await fetch(`${server.url}/metrics`)).text()

  const value = (line: string) =>
    text
      .split('\n')
      .find((one) => one.startsWith(`${line} `))
      ?.split(' ')
      .at(-1)
  assert.equal(value('atlas_calls_total{action="vault.secrets.put",door="http",outcome="ok"}'), '1')
  assert.equal(value('atlas_calls_total{action="vault.secrets.get",door="http",outcome="not-found"}'), '1')
  assert.equal(value('atlas_vault_secrets'), '1')
  assert.equal(value('atlas_vault_secrets_overdue'), '0')
  assert.equal(value('atlas_vault_integrity_failures_total'), '0')
  assert.equal(value('atlas_metrics_source_failed{source="audit"}'), '0')
  assert.ok(Number(value('atlas_audit_entries')) >= 6)
  assert.doesNotMatch(text, /canary-value/)
  const page = readFileSync('docs/operate/metrics.md', 'utf8')
  const explained = [...page.matchAll(/^\| `([a-z_0-9]+)` \|/gm)].map((match) => match[1])
  const shown = [...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1])
  // Figures of witnesses and connections are there when those are.
  const absent = explained.filter((name) => /_(witness|connection|sink)_/.test(name ?? ''))
  assert.deepEqual(explained.toSorted(), [...new Set([...shown, ...absent])].toSorted())
})

test('a room that cannot tell its figures is named, and the others go on', async () => {
  const metrics = makeMetrics({ version: '1', token: new Secret('x'.repeat(32)) })
  const broken = async (): Promise<never> => {
    throw new Error('the database is gone')
  }
  const text = await metrics.render({
    audit: { status: broken },
    vault: {
      rotationCounts: async () => ({ living: 3, soon: 2, overdue: 1 }),
      keys: async () => [],
      currentIncident: async () => undefined,
    },
    connections: { list: async () => [] },
    findings: { summary: broken },
  })

  assert.match(text, /^atlas_metrics_source_failed\{source="audit"\} 1$/m)
  assert.match(text, /^atlas_vault_secrets_overdue 1$/m)
  assert.doesNotMatch(text, /atlas_audit_entries|database/)
})

test("a caller's made-up action names are one figure, not many", async () => {
  const metrics = makeMetrics({ version: '1' })
  const counted = metrics.counted(async () => ({ output: 1 }), makeCatalog([]))
  for (const name of ['made.up.one', 'made.up.two'])
    await counted({ door: 'mcp' } as Parameters<typeof counted>[0], name, {})

  const nothing = async (): Promise<never> => {
    throw new Error('not asked')
  }
  const sources = {
    audit: { status: nothing },
    vault: { rotationCounts: nothing, keys: nothing, currentIncident: nothing },
    connections: { list: nothing },
    findings: { summary: nothing },
  }
  const lines = (await metrics.render(sources)).split('\n').filter((line) => line.startsWith('atlas_calls_total'))
  assert.deepEqual(lines, ['atlas_calls_total{action="unknown",door="mcp",outcome="ok"} 2'])
})
