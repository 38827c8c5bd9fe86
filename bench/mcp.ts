import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startNetbox } from '../simulators/netbox/start.ts'
import { note, type Print, quantile, round } from './line.ts'
import type { Job, Load } from './load.ts'
import { runProcess, type Started, startAtlas, startProcess } from './process.ts'
import { callOf, firstId, type Revision, type Tool, textOf } from './wire.ts'

type Target = {
  readonly name: string
  readonly server: Started
  readonly path: string
  readonly revision: Revision
  readonly tool: Tool
  readonly token?: string
}
type Targets = Readonly<Record<'plain' | 'sdk' | 'sdkLegacy' | 'atlas' | 'atlasLegacy' | 'search', Target>>
type Loads = Readonly<Record<keyof Targets, Load>>

const connections = 32

/**
 * `tools/call` on `/mcp` with every guard on, beside the SDK's bare echo server and a hand-written one on node:http. Each
 * server and the load have processes of their own; the servers take turns, several times, and the median run counts.
 */
export async function benchMcp(print: Print, { quick }: { quick: boolean }): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-bench-'))
  const started: Started[] = []
  const keep = async (server: Promise<Started>) => {
    started.push(await server)
    return server
  }
  try {
    note('mcp: starting Atlas and two echo servers')
    const token = randomBytes(32).toString('base64url')
    const atlas = await keep(
      startAtlas(folder, {
        ATLAS_API_TOKEN: token,
        ATLAS_RATE_LIMIT_RPM: '10000000',
        ATLAS_ALLOW_LOOPBACK_CONNECTIONS: 'true',
      }),
    )
    const plain = await keep(startProcess('echo-plain.ts'))
    const sdk = await keep(startProcess('echo-sdk.ts'))
    const { agentToken, assetName } = await fill(`${atlas.url}/api/v1`, token)
    const targets = targetsOf({ atlas, plain, sdk, agentToken, assetName })
    printLoads(print, await measure(targets, quick))
  } finally {
    for (const server of started) await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

type Servers = Record<'atlas' | 'plain' | 'sdk', Started> & Record<'agentToken' | 'assetName', string>

function targetsOf({ atlas, plain, sdk, agentToken, assetName }: Servers): Targets {
  const echo: Tool = { name: 'echo', arguments: { text: 'the quick brown fox' } }
  // Like echo it reads nothing but the call itself; what is measured is the way through the gate.
  const self: Tool = { name: 'identity.principal.get', arguments: {} }
  const search: Tool = { name: 'inventory.assets.search', arguments: { q: assetName, limit: 1 } }
  const onAtlas = { server: atlas, path: '/mcp', token: agentToken }
  const [now, before] = ['2026-07-28', '2025-11-25'] as const
  return {
    plain: { name: 'node:http echo', server: plain, path: '/', revision: now, tool: echo },
    sdk: { name: `SDK echo, ${now}`, server: sdk, path: '/mcp', revision: now, tool: echo },
    atlas: { name: `Atlas, ${now}`, ...onAtlas, revision: now, tool: self },
    search: { name: 'Atlas, search for one asset', ...onAtlas, revision: now, tool: search },
    sdkLegacy: { name: `SDK echo, ${before}`, server: sdk, path: '/mcp', revision: before, tool: echo },
    atlasLegacy: { name: `Atlas, ${before}`, ...onAtlas, revision: before, tool: self },
  }
}

/**
 * The median of some rounds for each target. The targets take turns, so that a slow minute of the machine hits all. A long
 * warm-up comes first: a slow server gets fewer calls to be compiled by, and would stay slow in the comparison.
 */
async function measure(targets: Targets, quick: boolean): Promise<Loads> {
  const rounds = quick ? 1 : 3
  const seconds = quick ? 1 : 4
  const runs: Record<string, Load[]> = {}
  for (let turn = 1; turn <= rounds; turn++)
    for (const [key, target] of Object.entries(targets)) {
      const warmSeconds = turn > 1 ? 1 : quick ? 0.5 : 8
      const load = (await runProcess('load.ts', { ...(await jobOf(target)), warmSeconds, seconds })) as Load
      note(`mcp: round ${turn} of ${rounds}, ${target.name}: ${Math.round(load.callsPerSecond)} calls/s`)
      if (load.ownShare > 0.95) note('mcp: the load generator was the limit here, not the server')
      runs[key] = [...(runs[key] ?? []), load]
    }
  return Object.fromEntries(Object.entries(runs).map(([key, loads]) => [key, middle(loads)])) as Loads
}

function middle(loads: readonly Load[]): Load {
  const median = quantile(
    loads.map(({ callsPerSecond }) => callsPerSecond),
    0.5,
  )
  return loads.find(({ callsPerSecond }) => callsPerSecond === median) as Load
}

/** Asks once by hand, so that the load knows the right answer. */
async function jobOf({ server, path, revision, tool, token }: Target): Promise<Omit<Job, 'warmSeconds' | 'seconds'>> {
  const request = callOf(revision, tool, token)
  const url = server.url + path
  const answer = await fetch(url, { method: 'POST', ...request })
  return { ...request, url, pid: server.pid, expected: textOf(await answer.text(), firstId), connections }
}

function printLoads(print: Print, { plain, sdk, sdkLegacy, atlas, atlasLegacy, search }: Loads): void {
  const call = `${connections} connections`
  const self = 'identity.principal.get, 2026-07-28'
  const rate = ({ callsPerSecond }: Load) => ({ value: Math.round(callsPerSecond), unit: 'calls/s' })
  const beside = (name: string, a: Load, b: Load) => ({
    against: `${name}: ${Math.round(b.callsPerSecond)} calls/s`,
    ratio: round(a.callsPerSecond / b.callsPerSecond),
  })
  const slow = ({ p95 }: Load) => ({ value: round(p95), unit: 'ms' })
  print({ figure: `mcp: node:http echo, ${call}`, ...rate(plain) })
  print({ figure: 'mcp: node:http echo, p95', ...slow(plain) })
  print({ figure: `mcp: SDK echo, ${call}`, ...rate(sdk) })
  print({ figure: 'mcp: SDK echo, p95', ...slow(sdk) })
  print({ figure: `mcp: Atlas beside the SDK echo, ${self}`, ...rate(atlas), ...beside('SDK echo', atlas, sdk) })
  print({ figure: `mcp: Atlas beside node:http, ${self}`, ...rate(atlas), ...beside('node:http echo', atlas, plain) })
  print({ figure: `mcp: Atlas, ${self}, p95`, ...slow(atlas) })
  print({
    figure: 'mcp: Atlas beside the SDK echo, identity.principal.get, 2025-11-25',
    ...rate(atlasLegacy),
    ...beside('SDK echo, 2025-11-25', atlasLegacy, sdkLegacy),
  })
  print({ figure: 'mcp: Atlas, identity.principal.get, 2025-11-25, p95', ...slow(atlasLegacy) })
  print({ figure: 'mcp: Atlas, inventory.assets.search for one asset', ...rate(search) })
  print({ figure: 'mcp: Atlas, inventory.assets.search for one asset, p95', ...slow(search) })
  if (Number.isNaN(atlas.cpuMicros)) return
  // On a shared machine the rates move with the neighbours; processor time moves less.
  for (const [name, against] of [['SDK echo', sdk] as const, ['node:http echo', plain] as const])
    print({
      figure: `mcp: processor time of a call, Atlas beside the ${name}`,
      value: Math.round(atlas.cpuMicros),
      unit: 'µs',
      against: `${name}: ${Math.round(against.cpuMicros)} µs`,
      ratio: round(atlas.cpuMicros / against.cpuMicros),
    })
}

/** A small estate through a real sync, and an agent's token that may read. */
async function fill(api: string, token: string): Promise<{ agentToken: string; assetName: string }> {
  const netbox = await startNetbox({ devices: 200, seed: 1 })
  const ask = async (method: string, path: string, body?: unknown) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const answer = await fetch(api + path, {
      method,
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
    return (await answer.json()) as Record<string, unknown>
  }
  try {
    const { id } = await ask('POST', '/connections', {
      connector: 'netbox',
      name: 'bench',
      config: { url: netbox.url },
      credential: { token: netbox.tokens.v2 },
      caCertificate: netbox.caPem,
      schedule: null,
    })
    let run = await ask('POST', `/connections/${id}/syncs`, { mode: 'full' })
    while (run['state'] === 'queued' || run['state'] === 'running') {
      await sleep(200)
      run = await ask('GET', `/syncs/${run['id']}`)
    }
    if (run['state'] !== 'succeeded') throw new Error(`The sync ${run['state']}`)
    const { token: agentToken } = await ask('POST', '/tokens', {
      name: 'bench',
      agent: 'bench',
      role: 'viewer',
      expiresInDays: 1,
    })
    const { items } = await ask('GET', '/assets?kind=device&limit=1')
    const [asset] = items as { name: string }[]
    return { agentToken: String(agentToken), assetName: String(asset?.name) }
  } finally {
    await netbox.stop()
  }
}
