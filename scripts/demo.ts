import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type RunningSystem, startCompany } from '../simulators/company.ts'
import { makeCompany } from '../simulators/lib/company.ts'
import { freePort } from '../src/testing/postgres.ts'

/**
 * `npm run demo`: a real Atlas on its embedded defaults in a temporary folder, twelve simulated systems of one company beside it,
 * connected and synced through the REST API like a person would. Stays up until Ctrl-C; `-- --exit` stops after the summary.
 */
const { values } = parseArgs({
  options: {
    exit: { type: 'boolean', default: false },
    port: { type: 'string' },
    devices: { type: 'string', default: '288' },
    vms: { type: 'string', default: '400' },
  },
})
type Json = Record<string, unknown>
type System = { name: string; connector: string; total: number; kinds: { kind: string; count: number }[] }

const folder = mkdtempSync(join(tmpdir(), 'atlas-demo-'))
const token = `atl-demo-${randomBytes(32).toString('base64url')}`
const password = randomBytes(15).toString('base64url')
const port = Number(values.port ?? (await freePort()))
const url = `http://127.0.0.1:${port}`
let server: ChildProcess | undefined
let systems: readonly RunningSystem[] = []

try {
  step('Starting twelve simulated systems of one company')
  // Of each flaw one is planted; everything else the systems agree about.
  const truth = makeCompany({ devices: Number(values.devices), vms: Number(values.vms), copies: 1 })
  systems = await startCompany(truth, { expiring: ['kimai'] })
  step('Starting Atlas on an empty data directory')
  server = startAtlas()
  await ready()
  step('Connecting the systems, and reading them')
  const connected = await Promise.all(systems.map(connect))
  for (const connection of connected) await synced(connection)
  await findingsLookedFor()
  await summary()
  if (!values.exit) await new Promise<void>((resolve) => process.once('SIGINT', resolve))
} catch (error) {
  process.stderr.write(`The demo failed: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
} finally {
  await stopAtlas()
  await Promise.all(systems.map(({ stop }) => stop()))
  rmSync(folder, { recursive: true, force: true })
}

function startAtlas(): ChildProcess {
  const env = {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('ATLAS_'))),
    ATLAS_PORT: String(port),
    ATLAS_DATA_DIR: join(folder, 'data'),
    ATLAS_API_TOKEN: token,
    ATLAS_DEFAULT_ADMIN_PASSWORD: password,
    ATLAS_ALLOW_LOOPBACK_CONNECTIONS: 'true',
    ATLAS_RATE_LIMIT_RPM: '100000',
    ATLAS_LOG_LEVEL: 'warn',
  }
  const child = spawn(process.execPath, [join(import.meta.dirname, '../src/main.ts'), 'serve'], {
    cwd: folder,
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  child.once('exit', (code) => {
    if (code) process.stderr.write(`Atlas ended with code ${code}\n`)
  })
  return child
}

async function stopAtlas(): Promise<void> {
  if (!server || server.exitCode !== null) return
  const ended = new Promise((resolve) => server?.once('exit', resolve))
  server.kill('SIGTERM')
  await ended
}

async function ready(): Promise<void> {
  for (let tries = 0; tries < 150; tries++) {
    if (server?.exitCode !== null && server?.exitCode !== undefined) throw new Error('Atlas did not start')
    if (
      await fetch(`${url}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      )
    )
      return
    await sleep(100)
  }
  throw new Error('Atlas did not become ready in 15 seconds')
}

async function call(method: string, path: string, body?: unknown): Promise<Json> {
  const response = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const answer = (await response.json()) as Json
  if (!response.ok) throw new Error(`${method} ${path}: ${answer['title']} ${answer['detail'] ?? ''}`)
  return answer
}

type Connected = { readonly id: string; readonly name: string; readonly run: string }

/** Adds a connection, tries it, and starts its first sync. */
async function connect({ connector, name, config, credential, caPem }: RunningSystem): Promise<Connected> {
  const body = { connector, name, config, credential, caCertificate: caPem }
  const connection = await call('POST', '/connections', body)
  const id = String(connection['id'])
  const check = await call('POST', `/connections/${id}/check`, {})
  if (check['ok'] !== true) throw new Error(`${name} does not work: ${JSON.stringify(check['problem'])}`)
  // The schedule may have been faster.
  const started = await call('POST', `/connections/${id}/syncs`, { mode: 'auto' }).catch(() => undefined)
  const run = started?.['id'] ?? ((await call('GET', `/connections/${id}/syncs`))['items'] as Json[])[0]?.['id']
  return { id, name, run: String(run) }
}

async function synced({ name, run: id }: Connected): Promise<void> {
  let run = await call('GET', `/syncs/${id}`)
  while (run['state'] === 'queued' || run['state'] === 'running') {
    progress(`${name}: ${run['stage'] ?? 'waits'}, ${(run['counts'] as { read: number }).read} read`)
    await sleep(100)
    run = await call('GET', `/syncs/${id}`)
  }
  progress('')
  if (run['state'] !== 'succeeded')
    throw new Error(`The sync of ${name} ${run['state']}: ${JSON.stringify(run['problem'])}`)
}

/** Atlas looks for findings by itself after syncs; this waits until it has. */
async function findingsLookedFor(): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    try {
      await call('POST', '/inventory/findings/evaluate', {})
      return
    } catch (error) {
      if (!/evaluated already/.test(String(error))) throw error
      await sleep(100)
    }
  }
}

async function summary(): Promise<void> {
  const inventory = (await call('GET', '/inventory/summary')) as unknown as { connections: System[] }
  const found = (await call('GET', '/inventory/findings/summary')) as unknown as {
    open: number
    rules: { rule: string; title: string; open: number }[]
  }
  const { items } = (await call('GET', '/findings?limit=200')) as { items: Json[] }
  const verified = await call('POST', '/audit/verify', {})
  const agent = await call('POST', '/tokens', {
    name: 'demo-agent',
    agent: 'demo-agent',
    role: 'operator',
    expiresInDays: 1,
  })
  say('\nAssets per system')
  for (const { name, total, kinds } of inventory.connections) {
    const list = kinds.map(({ kind, count }) => `${count} ${kind}`).join(', ')
    say(`  ${name.padEnd(12)} ${String(total).padStart(6)}   ${list}`)
  }
  say(`\nMachines        ${await countMachines()} (the same thing in several systems counts once)`)
  say(`Findings        ${found.open} open`)
  for (const { rule, open } of found.rules.filter(({ open }) => open > 0)) {
    const names = items.filter((item) => item['rule'] === rule).map((item) => item['name'])
    say(`  ${rule.padEnd(24)} ${String(open).padStart(4)}   ${names.slice(0, 3).join(', ')}`)
  }
  say(`Audit log       ${verified['size']} entries, verified: ${verified['ok'] === true ? 'yes' : 'NO'}`)
  if (values.exit) return
  say(`\nOpen            ${url}/api/v1/openapi.json (REST)  ${url}/mcp (MCP)`)
  say(`Sign in         ATLAS_URL=${url} npx atlas login -u admin      password: ${password}`)
  say(`Admin token     export ATLAS_URL=${url} ATLAS_TOKEN=${token}`)
  say('Try             npx atlas search esx --limit 5      npx atlas findings list      npx atlas machines search')
  say('\nMCP client configuration (an agent that may read; what it changes needs your approval)')
  const config = {
    mcpServers: { atlas: { type: 'http', url: `${url}/mcp`, headers: { Authorization: `Bearer ${agent['token']}` } } },
  }
  say(JSON.stringify(config, null, 2))
  say('\nRunning. Stop with Ctrl-C; everything of this demo is then removed.')
}

/** One line that is written over, on a terminal only. */
function progress(text: string): void {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[2K${text && `  ${text}`}`)
}

async function countMachines(): Promise<number> {
  let count = 0
  let cursor: unknown
  do {
    const page = await call(
      'GET',
      `/machines?limit=200${cursor ? `&cursor=${encodeURIComponent(String(cursor))}` : ''}`,
    )
    count += (page['items'] as unknown[]).length
    cursor = page['next']
  } while (cursor)
  return count
}

function step(text: string): void {
  say(`• ${text}`)
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
