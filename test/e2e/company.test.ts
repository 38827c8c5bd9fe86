import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Flaw, Truth } from '../../simulators/lib/truth.ts'
import type { Atlas } from '../../src/testing/server.ts'
import { connectCompany } from './company-steps.ts'
import { assertLogVerifies, mcpClient } from './steps.ts'

// Twelve simulated systems of one company on a running server: machines are joined, each planted disagreement is found and
// nothing else, and agents see it in one call.

type Finding = { rule: string; name: string; machine: string | null; evidence: { says: string }[] }

const ruleOf: Readonly<Record<Flaw, string>> = {
  'no-backup': 'no-backup',
  'old-backup': 'no-backup',
  'not-monitored': 'not-monitored',
  'monitored-but-gone': 'monitored-but-gone',
  'not-in-registry': 'not-in-registry',
  'not-in-virtualization': 'not-in-virtualization',
  'address-differs': 'address-disagreement',
  'status-differs': 'status-disagreement',
  'long-off': 'powered-off',
  'old-snapshot': 'old-snapshot',
  'silent-agent': 'silent-agent',
}
/** Planted outside the machines: a full pool of the storage, and a certificate that ends. */
const otherFindings = ['certificate-expiring timesheets', 'pool-full hybrid-1']

/** Judges now; the schedule may be at it. */
async function evaluate(atlas: Atlas): Promise<void> {
  for (;;) {
    const answer = await atlas.ask('POST', '/api/v1/inventory/findings/evaluate', { body: {} })
    if (answer.status === 200) return
    assert.equal(answer.status, 409, answer.text)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function openFindings(atlas: Atlas): Promise<Finding[]> {
  await evaluate(atlas)
  return (await atlas.api<{ items: Finding[] }>('GET', '/findings?limit=200')).items
}

const names = (findings: readonly Finding[]) => findings.map(({ rule, name }) => `${rule} ${name.split(':')[0]}`).sort()

test('each planted disagreement of a company is found once, and nothing else; reading again changes nothing', async (t) => {
  const { truth, atlas, syncAll } = await connectCompany(t, 1, ['kimai'])
  await syncAll('auto')

  const planted = [...truth.planted].map(([index, flaw]) => `${ruleOf[flaw]} ${truth.vm(index).hostName}`)
  const found = await openFindings(atlas)
  assert.deepEqual(names(found), [...planted, ...otherFindings].sort())
  for (const { evidence } of found) assert.ok(evidence.length > 0)

  await syncAll('auto')
  await syncAll('full')
  assert.deepEqual(names(await openFindings(atlas)), names(found))

  await t.test('an agent sees machines and findings in one call each', () => agentSees(t, atlas, truth))
  await t.test('the log verifies', async (s) => void (await assertLogVerifies(s, atlas)))
})

test('a company whose systems agree has no finding, and each of its machines counts once', async (t) => {
  const { truth, atlas, syncAll } = await connectCompany(t, 0)
  await syncAll('auto')

  // The storage's full pool is the only thing that is always there.
  assert.deepEqual(names(await openFindings(atlas)), ['pool-full hybrid-1'])
  const { items, next } = await atlas.api<{ items: { name: string }[]; next: string | null }>(
    'GET',
    '/machines?limit=200',
  )
  const more = next === null ? [] : await rest(atlas, next)
  const { devices, vms } = truth.estate.counts
  assert.equal(items.length + more.length, devices + vms + templates)
})

/** The virtualization's templates are machines of their own. */
const templates = 2

async function rest(atlas: Atlas, cursor: string): Promise<unknown[]> {
  const page = await atlas.api<{ items: unknown[]; next: string | null }>(
    'GET',
    `/machines?limit=200&cursor=${encodeURIComponent(cursor)}`,
  )
  return page.next === null ? page.items : [...page.items, ...(await rest(atlas, page.next))]
}

async function agentSees(t: TestContext, atlas: Atlas, truth: Truth): Promise<void> {
  const { token } = await atlas.api<{ token: string }>('POST', '/tokens', { name: 'a', agent: 'agent', role: 'viewer' })
  const agent = await mcpClient(t, atlas, { token })
  const ask = async (name: string, args: Record<string, unknown>) => {
    const { structuredContent, isError } = await agent.callTool({ name, arguments: args })
    assert.ok(!isError, `${name}: ${JSON.stringify(structuredContent)}`)
    return JSON.stringify(structuredContent)
  }
  const { tools } = await agent.listTools()
  for (const tool of ['machine_overview', 'machine_context', 'findings_summary', 'inventory_search'])
    assert.ok(
      tools.some(({ name }) => name === tool),
      tool,
    )
  const [index] = [...truth.planted].find(([, flaw]) => flaw === 'address-differs') ?? []
  const { hostName, address } = truth.vm(index ?? 0)
  const overview = await ask('machine_overview', { machine: hostName })
  assert.match(overview, new RegExp(hostName))
  assert.match(overview, new RegExp(String(address.split('/')[0]).replaceAll('.', '\\.')))
  const machine = /mch_\w+/.exec(overview)?.[0]
  assert.match(await ask('machine_context', { machine }), /address-disagreement/)
  assert.match(await ask('findings_summary', {}), /"rule":"address-disagreement"/)
  assert.match(await ask('inventory_search', { q: hostName }), /virtual-machine/)
}
