import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startNetbox } from '../simulators/netbox/start.ts'
import { freePort } from '../src/testing/postgres.ts'

/**
 * `npm run demo`: a real Atlas on its embedded defaults in a temporary folder, simulated systems beside it, connected and
 * synced through the REST API like a person would. Stays up until Ctrl-C; `-- --exit` stops after the summary.
 */
const { values } = parseArgs({
  options: {
    exit: { type: 'boolean', default: false },
    port: { type: 'string' },
    devices: { type: 'string', default: '1500' },
  },
})
type Json = Record<string, unknown>
type System = { name: string; kinds: { kind: string; count: number }[] }

const folder = mkdtempSync(join(tmpdir(), 'atlas-demo-'))
const token = `atl-demo-${randomBytes(32).toString('base64url')}`
const password = randomBytes(15).toString('base64url')
const port = Number(values.port ?? (await freePort()))
const url = `http://127.0.0.1:${port}`
let server: ChildProcess | undefined
let netbox: Awaited<ReturnType<typeof startNetbox>> | undefined

try {
  step('Starting a simulated NetBox')
  netbox = await startNetbox({ devices: Number(values.devices), seed: 1 })
  step('Starting Atlas on an empty data directory')
  server = startAtlas()
  await ready()
  step('Connecting the simulated systems')
  const connection = await call('POST', '/connections', {
    connector: 'netbox',
    name: 'netbox-lab',
    config: { url: netbox.url },
    credential: { token: netbox.tokens.v2 },
    caCertificate: netbox.caPem,
  })
  const check = await call('POST', `/connections/${connection['id']}/check`, {})
  if (check['ok'] !== true) throw new Error(`The connection does not work: ${JSON.stringify(check)}`)
  step(`netbox-lab answers: NetBox ${check['version']}`)
  await sync(String(connection['id']))
  await summary()
  if (!values.exit) await new Promise<void>((resolve) => process.once('SIGINT', resolve))
} catch (error) {
  process.stderr.write(`The demo failed: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
} finally {
  await stopAtlas()
  await netbox?.stop()
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

async function sync(connection: string): Promise<void> {
  let run = await call('POST', `/connections/${connection}/syncs`, { mode: 'auto' })
  while (run['state'] === 'queued' || run['state'] === 'running') {
    await sleep(200)
    run = await call('GET', `/syncs/${run['id']}`)
    const { read } = run['counts'] as { read: number }
    if (process.stdout.isTTY)
      process.stdout.write(
        `\r\x1b[2K  syncing ${run['stage'] ?? ''}: ${read} read, ${Math.round(Number(run['rate']))}/s`,
      )
  }
  if (process.stdout.isTTY) process.stdout.write('\r\x1b[2K')
  if (run['state'] !== 'succeeded') throw new Error(`The sync ${run['state']}: ${JSON.stringify(run['problem'])}`)
  step(`Synced ${(run['counts'] as { read: number }).read} objects`)
}

async function summary(): Promise<void> {
  const { connections } = (await call('GET', '/inventory/summary')) as unknown as { connections: System[] }
  const verified = await call('POST', '/audit/verify', {})
  const agent = await call('POST', '/tokens', {
    name: 'demo-agent',
    agent: 'demo-agent',
    role: 'operator',
    expiresInDays: 1,
  })
  say('\nAssets per system')
  for (const { name, kinds } of connections)
    for (const { kind, count } of kinds) say(`  ${name.padEnd(14)} ${kind.padEnd(18)} ${String(count).padStart(7)}`)
  say(`\nAudit log       ${verified['size']} entries, verified: ${verified['ok'] === true ? 'yes' : 'NO'}`)
  say('Machines        joined across systems in a later version: one system is connected here')
  say('Findings        in a later version')
  say(`\nOpen            ${url}/api/v1/openapi.json (REST)  ${url}/mcp (MCP)`)
  say(`Sign in         ATLAS_URL=${url} npx atlas login -u admin      password: ${password}`)
  say(`Admin token     export ATLAS_URL=${url} ATLAS_TOKEN=${token}`)
  say('Try             npx atlas search esx --limit 5')
  say('\nMCP client configuration (an agent that may read; what it changes needs your approval)')
  const config = {
    mcpServers: { atlas: { type: 'http', url: `${url}/mcp`, headers: { Authorization: `Bearer ${agent['token']}` } } },
  }
  say(JSON.stringify(config, null, 2))
  if (!values.exit) say('\nRunning. Stop with Ctrl-C; everything of this demo is then removed.')
}

function step(text: string): void {
  say(`• ${text}`)
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
