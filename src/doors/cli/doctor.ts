import { CliError, type Client, type Json } from './client.ts'
import { listAll } from './names.ts'
import { ago, cell } from './output.ts'
import type { Shell } from './program.ts'
import { explainUnreachable } from './unreachable.ts'

/** `warn`: works, but look at it. Only `fail` makes `atlas doctor` end with 1. */
export type Check = { readonly check: string; readonly state: 'ok' | 'warn' | 'fail'; readonly detail: string }
type Result = Omit<Check, 'check'>

const ok = (detail: string): Result => ({ state: 'ok', detail })
const warn = (detail: string): Result => ({ state: 'warn', detail })
const fail = (detail: string): Result => ({ state: 'fail', detail })

/** Everything that can be checked from here with the rights at hand. Without a server the checks end there. */
export async function diagnose(shell: Shell, now: () => number): Promise<{ ok: boolean; checks: Check[] }> {
  const checks: Check[] = [...shell.local.inspect()]
  const add = (check: string, result: Result): boolean => {
    checks.push({ check, ...result })
    return result.state !== 'fail'
  }
  const end = () => ({ ok: checks.every(({ state }) => state !== 'fail'), checks })
  const server = await askServer(shell.url(), now)
  if (!add('server', server.result)) return end()
  add('clock', server.clock)
  add('version', await compareVersion(shell))
  const client = shell.client()
  const who = await attempt(() => checkToken(client, now()))
  if (!add('token', who)) return end()
  add('audit log', await attempt(() => verifyLog(client)))
  add('audit witnesses', await attempt(async () => auditHealth(await client.get('/audit/status'))))
  add('audit sinks', await attempt(async () => sinkHealth(await client.get('/audit/status'))))
  add('secrets', await attempt(() => checkRotation(client)))
  add('backups', await attempt(async () => backupHealth(await client.get('/backups'), now())))
  add('incident', await attempt(() => checkIncident(client)))
  for (const { name, ...result } of await checkConnections(client)) add(name, result)
  return end()
}

async function askServer(url: string, now: () => number): Promise<{ result: Result; clock: Result }> {
  const none = ok('')
  try {
    const before = now()
    const response = await fetch(`${url}/readyz`, { redirect: 'error', signal: AbortSignal.timeout(10_000) })
    const here = (before + now()) / 2
    const answer = (await response.json().catch(() => ({}))) as { ready?: unknown; notReady?: Json }
    if (typeof answer.ready !== 'boolean')
      return { result: fail(`${url} answers, but not like Atlas; check ATLAS_URL or --server`), clock: none }
    const clock = compareClock(Date.parse(response.headers.get('date') ?? ''), here)
    if (answer.ready) return { result: ok(`${url} is ready`), clock }
    const hint =
      answer.notReady?.['vault'] === 'sealed' ? 'Open it with: atlas vault unseal' : 'Its own output says why'
    return { result: fail(`${url} is not ready: ${cell(answer.notReady)}. ${hint}`), clock }
  } catch (error) {
    return { result: fail(explainUnreachable(url, error)), clock: none }
  }
}

/** The header has whole seconds, so a difference of one is none. */
export function compareClock(there: number, here: number): Result {
  if (Number.isNaN(there)) return warn('the server does not say its time')
  const seconds = Math.round(Math.abs(there - here) / 1000)
  if (seconds <= 5) return ok('as on this machine')
  const text = `the server's clock is ${seconds} s ${there < here ? 'behind' : 'ahead of'} this machine's. Set both by NTP: times in the log and the ends of tokens depend on it`
  return seconds > 60 ? fail(text) : warn(text)
}

async function compareVersion(shell: Shell): Promise<Result> {
  const there = await attempt(async () => {
    const { info } = JSON.parse((await shell.open().bytes('/api/v1/openapi.json')).toString('utf8')) as { info?: Json }
    return ok(String(info?.['version']))
  })
  if (there.state !== 'ok') return there
  const here = shell.local.version
  if (there.detail === here) return ok(here)
  return warn(
    `the server is ${cell(there.detail)}, this command line is ${here}. Use the command line of the server's version`,
  )
}

async function checkToken(client: Client, now: number): Promise<Result> {
  const { id, name, tokenId } = await client.get('/me')
  const tokens = await listAll(client, '/tokens', { principal: String(id) }).catch(() => [])
  const { kind, expiresAt } = tokens.find((token) => token['id'] === tokenId) ?? {}
  if (kind === 'bootstrap')
    return warn(
      `${cell(name)}, the token of ATLAS_API_TOKEN, which never ends. Remove it when people and agents have their own`,
    )
  if (typeof expiresAt !== 'string') return ok(`${cell(name)}; when it ends is not visible to it`)
  const text = `${cell(name)}, until ${cell(expiresAt)}${ago(expiresAt, now)}`
  const isEnding = kind === 'api' && Date.parse(expiresAt) - now < 15 * 86_400_000
  return isEnding ? warn(`${text}. Make a new one: atlas tokens create`) : ok(text)
}

async function verifyLog(client: Client): Promise<Result> {
  const { ok: isWhole, size, place, reason } = await client.send('POST', '/audit/verify', {})
  if (isWhole === true) return ok(`${size} entries verify`)
  return fail(`does not verify: ${cell(place)} ${cell(reason)}. Keep everything as it is (docs/operate/audit.md)`)
}

/** Signing stops when the clock is behind; a witness that does not cosign is asked again, but somebody has to know. */
export function auditHealth({ clockBehindSeconds, witnesses }: Json): Result {
  if (Number(clockBehindSeconds) > 10)
    return fail(
      `the server's clock is ${cell(clockBehindSeconds)} s behind the newest entry, so nothing is signed. Set it; if it is right: atlas audit accept-clock`,
    )
  const asked = (witnesses ?? []) as { name: string; fault: string | null }[]
  const bad = asked.filter(({ fault }) => fault !== null)
  if (bad.length > 0) return fail(bad.map(({ name, fault }) => `${cell(name)}: ${cell(fault)}`).join(', '))
  return ok(asked.length === 0 ? 'none configured' : `${asked.length} cosigned`)
}

/** When the last backup was made, and whether those that were planned are. */
export function backupHealth({ items, schedule, isLate, lastMadeAt }: Json, now: number): Result {
  const { state, problem } = (items as Json[])[0] ?? {}
  const last =
    typeof lastMadeAt === 'string'
      ? `the last one was made ${cell(lastMadeAt)}${ago(lastMadeAt, now)}`
      : 'none was made yet'
  if (state === 'failed') return warn(`the newest one failed: ${cell(problem)}; ${last}`)
  if (isLate === true) return warn(`${last}, and planned ones were missed (${cell(schedule)}). Try: atlas backup`)
  if (schedule !== null) return ok(`${last}; planned: ${cell(schedule)}`)
  const none = `${last}, and none is planned. Set ATLAS_BACKUP_SCHEDULE (docs/operate/backup.md)`
  return lastMadeAt === null ? warn(none) : ok(none)
}

type SinkHealth = { name: string; lagEntries: number; lagSeconds: number; fault: string | null; isStopped: boolean }

/** The log is whole without its copies, so nothing fails; but who counts on them has to know. */
export function sinkHealth({ sinks }: Json): Result {
  const all = (sinks ?? []) as SinkHealth[]
  const lag = ({ lagEntries, lagSeconds }: SinkHealth) => `${cell(lagEntries)} entries and ${cell(lagSeconds)} s behind`
  const bad = all.flatMap((sink) => {
    if (sink.isStopped) return [`${cell(sink.name)} refused for good (${cell(sink.fault)}), ${lag(sink)}`]
    if (sink.fault !== null) return [`${cell(sink.name)}: ${cell(sink.fault)}, ${lag(sink)}`]
    return sink.lagSeconds > usualLagSeconds ? [`${cell(sink.name)} is ${lag(sink)}`] : []
  })
  if (bad.length > 0) return warn(`${bad.join('; ')} (docs/operate/audit-sinks.md)`)
  return ok(all.length === 0 ? 'none configured' : `${all.map(({ name }) => cell(name)).join(', ')} up to date`)
}

// Object storage gets the end of the log every five minutes.
const usualLagSeconds = 900

async function checkConnections(client: Client): Promise<(Result & { name: string })[]> {
  let rows: Json[] = []
  const listed = await attempt(async () => {
    rows = await listAll(client, '/connections')
    return ok('none yet. Add one: atlas connections add netbox --name lab --url https://netbox.example.org')
  })
  if (rows.length === 0) return [{ name: 'connections', ...listed }]
  return rows.map((row) => ({ name: `connection ${cell(row['name'])}`, ...connectionState(row) }))
}

function connectionState({ name, state, lastSyncedAt, problem, schedule }: Json): Result {
  const { title, detail } = (problem as Json | null) ?? {}
  if (state === 'failing') return fail(`${cell(detail ?? title)}. Try: atlas connections test ${cell(name)}`)
  if (typeof lastSyncedAt !== 'string') return warn(`never synced. Run: atlas sync ${cell(name)}`)
  const when = `synced ${cell(lastSyncedAt)}${ago(lastSyncedAt, Date.now())}`
  return schedule === null ? ok(`${when}; by hand only`) : ok(when)
}

/** What the token may not see is not at fault, and what cannot be asked is. */
async function attempt(run: () => Promise<Result>): Promise<Result> {
  try {
    return await run()
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    const { status } = (error.problem ?? {}) as { status?: number }
    return status === 403 ? warn('not checked: your roles do not permit it') : fail(error.message)
  }
}

const signs = { ok: '✔', warn: '!', fail: '✖' } as const

/** One line a check, a sign first. */
export function showChecks(checks: readonly Check[]): string {
  const width = Math.max(0, ...checks.map(({ check }) => check.length))
  return checks.map(({ check, state, detail }) => `${signs[state]} ${check.padEnd(width)}  ${detail}`).join('\n')
}

/** Which secrets should have been changed by now. A token that may not see secrets is told so; that is no fault. */
async function checkRotation(client: Client): Promise<Result> {
  const named = async (rotation: string) => {
    const items = (await client.get('/secrets', { rotation, limit: 200 }))['items'] as Json[]
    return items.map(({ name, owner }) => (owner === null ? String(name) : `${name} of ${owner}`))
  }
  const [overdue, soon] = [await named('overdue'), await named('soon')]
  if (overdue.length > 0) return warn(`overdue for a change: ${overdue.join(', ')}`)
  return ok(soon.length > 0 ? `to be changed soon: ${soon.join(', ')}` : 'none is to be changed soon')
}

async function checkIncident(client: Client): Promise<Result> {
  const [newest] = (await client.get('/vault/incidents', { limit: 1 }))['items'] as Json[]
  if (newest?.['state'] !== 'open') return ok('none is open')
  const { waiting, total } = newest['secrets'] as Json
  return warn(`everything is to be rotated: ${waiting} of ${total} secrets wait. See: atlas incident status`)
}
