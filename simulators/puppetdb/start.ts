import { randomBytes } from 'node:crypto'
import { type Ca, makeCa } from '../lib/ca.ts'
import { makeCompany } from '../lib/company.ts'
import { json, movableClock, type Reply, type SimRequest, startServer } from '../lib/server.ts'
import type { Truth } from '../lib/truth.ts'
import { makeApi, text } from './api.ts'
import { makeNodes, type Nodes } from './nodes.ts'

export type PuppetdbOptions = {
  readonly truth?: Truth
  readonly port?: number
  readonly ca?: Ca
  readonly clock?: ReturnType<typeof movableClock>
  /** `7.12.1` unless told. */
  readonly version?: string
  /** `certificate` unless told; `token` is Puppet Enterprise's; `none` is a PuppetDB behind somebody else's TLS. */
  readonly auth?: 'certificate' | 'token' | 'none'
}

export type Puppetdb = Awaited<ReturnType<typeof startPuppetdb>>

const clientName = 'atlas.example.net'

/** Starts a simulated PuppetDB on https://127.0.0.1:<port>, with its own CA that also issues the clients' certificates. */
export async function startPuppetdb(options: PuppetdbOptions = {}) {
  const {
    version = '7.12.1',
    auth = 'certificate',
    ca = makeCa(),
    clock = movableClock(),
    truth = makeCompany(),
  } = options
  const nodes = makeNodes(truth, clock.now)
  const token = randomBytes(24).toString('base64url')
  /** As in `certificate-allowlist`; any certificate of the CA while it is empty. */
  const allowlist = new Set<string>()
  const switches = makeSwitches(nodes)
  const refusal = (request: SimRequest): Reply | undefined => {
    if (auth === 'token' && request.headers['x-authentication'] !== token) {
      return json(401, { kind: 'puppetlabs.rbac/user-unauthenticated', msg: 'Route requires authentication' })
    }
    const isRefused = auth === 'certificate' && allowlist.size > 0 && !allowlist.has(request.clientName ?? '')
    return isRefused ? text(403, `Permission denied: ${request.clientName}`) : undefined
  }
  const server = await startServer({
    clock,
    ca,
    handle: makeApi({ version, nodes, now: clock.now, refusal }),
    admin: (request) => administer(request, switches),
    ...(auth === 'certificate' && { clientCa: ca.caPem }),
    ...(options.port !== undefined && { port: options.port }),
  })
  const credentials = {
    certificate: pair(ca, clientName),
    stranger: pair(makeCa('Another CA'), clientName),
    token: { token },
    none: {},
  }
  return {
    url: server.origin,
    caPem: server.caPem,
    config: { url: server.origin },
    credential: credentials[auth] as Record<string, string>,
    /** `stranger`: a certificate of another CA. */
    credentials: credentials as Record<keyof typeof credentials, Record<string, string>>,
    adminToken: server.adminToken,
    requests: server.requests,
    fault: server.faults.plan,
    faults: server.faults,
    forward: clock.forward,
    count: () => nodes.refs.filter(nodes.isActive).length,
    /** Only these names may read from now on. */
    allowOnly: (...names: readonly string[]) => names.forEach((name) => void allowlist.add(name)),
    clientName,
    ...switches,
    stop: server.stop,
  }
}

function pair(ca: Ca, commonName: string): Record<string, string> {
  const { certPem, keyPem } = ca.issue({ commonName, client: true })
  return { certificate: certPem, key: keyPem }
}

/** What agents and people do meanwhile; nodes are named by certname. */
function makeSwitches(nodes: Nodes) {
  const find = (certname: string): number => {
    const ref = nodes.refs.find((one) => nodes.certname(one) === certname)
    if (ref === undefined) throw new RangeError(`no node ${certname}`)
    return ref
  }
  return {
    /** The agents of `count` nodes run now; answers their names. */
    run(count: number): string[] {
      const active = nodes.refs.filter(nodes.isActive)
      const wanted = Math.min(count, active.length)
      const chosen = Array.from(
        { length: wanted },
        (_, i) => active[Math.floor((i * active.length) / wanted)] as number,
      )
      for (const ref of chosen) nodes.run(ref)
      return chosen.map(nodes.certname)
    },
    /** A report arrives without facts, by an agent whose clock is behind. */
    reportAlone: (certname: string, slowMs: number) => void nodes.reportAlone(find(certname), slowMs),
    setRole: (certname: string, role: string) => void nodes.setRole(find(certname), role),
    deactivate: (certname: string) => void nodes.deactivate(find(certname)),
    expire: (certname: string) => void nodes.expire(find(certname)),
    add: (certname: string) => void nodes.add(certname),
  }
}

/** `/__sim/run?count=` · `/__sim/deactivate?certname=` · `/__sim/expire?certname=` · `/__sim/add?certname=` */
function administer({ method, path, query }: SimRequest, switches: ReturnType<typeof makeSwitches>) {
  const name = /^\/__sim\/(deactivate|expire|add)$/.exec(path)?.[1] as 'deactivate' | 'expire' | 'add' | undefined
  if (method !== 'POST') return undefined
  if (path === '/__sim/run') {
    const count = Number(query.get('count') ?? 1)
    return Number.isSafeInteger(count)
      ? json(200, { certnames: switches.run(count) })
      : json(400, { error: 'count is wrong' })
  }
  const certname = query.get('certname')
  if (!name || certname === null) return undefined
  switches[name](certname)
  return json(200, { ok: true })
}
