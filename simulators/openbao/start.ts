import type { Ca } from '../lib/ca.ts'
import { json, movableClock, type SimRequest, startServer } from '../lib/server.ts'
import { type Engine, makeApi } from './api.ts'
import { makeKv } from './kv.ts'
import { makeDatabase, makeLeases } from './leases.ts'
import { ownToken } from './own-token.ts'
import { makeTokens, type Rule } from './tokens.ts'
import { makeTransit } from './transit.ts'

export type OpenBaoOptions = {
  readonly port?: number
  readonly ca?: Ca
  readonly clock?: ReturnType<typeof movableClock>
}

export type OpenBao = Awaited<ReturnType<typeof startOpenBao>>

/**
 * Starts a simulated OpenBao on https://127.0.0.1:<port>: Transit at `transit/` and key-value at `secret/`, both in the root
 * namespace and in `team`; key-value at `nested/kv/` and a database at `database/` in the root namespace.
 */
export async function startOpenBao({ port, ca, clock = movableClock() }: OpenBaoOptions = {}) {
  let isSealed = false
  const tokens = makeTokens(clock.now)
  const transit = makeTransit(['atlas', 'other'])
  const team = makeTransit(['atlas'])
  const [kv, teamKv, nestedKv] = [makeKv(clock.now), makeKv(clock.now), makeKv(clock.now)]
  const leases = makeLeases(tokens)
  const database = makeDatabase(leases)
  const mounts = new Map<string, Engine>([
    ['transit/', transit.engine],
    ['team/transit/', team.engine],
    ['secret/', kv.engine],
    ['team/secret/', teamKv.engine],
    ['nested/kv/', nestedKv.engine],
    ['database/', database.engine],
  ])
  const handle = makeApi({
    mounts,
    tokens,
    isSealed: () => isSealed,
    system: (request) => ownToken(tokens, request) ?? leases.system(request),
  })
  const switches = {
    seal: (): void => {
      isSealed = true
    },
    unseal: (): void => {
      isSealed = false
    },
  }
  /** `POST /__sim/seal` · `POST /__sim/unseal` */
  function admin({ method, path }: SimRequest) {
    if (method !== 'POST') return undefined
    if (path === '/__sim/seal') switches.seal()
    else if (path === '/__sim/unseal') switches.unseal()
    else return undefined
    return json(200, { sealed: isSealed })
  }

  const server = await startServer({
    clock,
    handle,
    admin,
    ownFaults: ['sealed'],
    ...(port !== undefined && { port }),
    ...(ca && { ca }),
  })
  return {
    url: server.origin,
    caPem: server.caPem,
    /** May encrypt and decrypt with the one key `atlas`, and nothing else: what docs/operate/seals.md tells to make. */
    credential: tokens.make({ rules: sealRules }),
    teamToken: tokens.make({ namespace: 'team', rules: sealRules }),
    rootToken: tokens.make({ rules: 'root' }),
    tokens,
    transit,
    team,
    kv,
    teamKv,
    nestedKv,
    leases,
    database,
    adminToken: server.adminToken,
    requests: server.requests,
    fault: server.faults.plan,
    faults: server.faults,
    forward: clock.forward,
    ...switches,
    stop: server.stop,
  }
}

const sealRules: readonly Rule[] = [
  { path: 'transit/encrypt/atlas', capabilities: ['update'] },
  { path: 'transit/decrypt/atlas', capabilities: ['update'] },
]
