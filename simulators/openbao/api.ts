import { randomUUID } from 'node:crypto'
import { json, type Reply, type SimRequest } from '../lib/server.ts'
import { type Capability, type Tokens, type Visitor, visitorOf } from './tokens.ts'

/** What a secrets engine is asked, once the token may do it. `path` begins behind the mount. */
export type EngineRequest = {
  readonly method: string
  readonly path: string
  readonly body: Readonly<Record<string, unknown>>
  readonly query: URLSearchParams
  readonly visitor: Visitor
}

/** One engine, mounted at one path of one namespace. Each kind of engine is one file. */
export type Engine = {
  /** What the path asks for, and of a path that may be made anew, whether it exists already. */
  readonly capabilityOf: (request: Pick<EngineRequest, 'method' | 'path'>) => Capability
  /** Undefined: the engine has no such path. */
  readonly handle: (request: EngineRequest) => Reply | undefined
}

type Parts = {
  /** `namespace/mount/` → engine; the root namespace is ''. */
  readonly mounts: ReadonlyMap<string, Engine>
  readonly tokens: Tokens
  readonly isSealed: () => boolean
  /** Paths below `sys/` and `auth/` that need a token: behind `/v1/`, without the namespace. Undefined: not one of them. */
  readonly system?: (request: EngineRequest) => Reply | undefined
}

/** The HTTP API of OpenBao and Vault below /v1: seal, namespaces, tokens and policies, then the engine at the mount. */
export function makeApi({ mounts, tokens, isSealed, system }: Parts): (request: SimRequest) => Reply {
  return (request) => {
    if (!request.path.startsWith('/v1/')) return failed(404)
    const named = namespaceOf(request)
    const path = decodeURIComponent(request.path.slice('/v1/'.length))
    if (path === 'sys/health') return health(isSealed())
    if (path === 'sys/seal-status') return json(200, { type: 'shamir', initialized: true, sealed: isSealed() })
    if (isSealed() || request.fault === 'sealed') return failed(503, 'Vault is sealed')
    const token = tokenOf(request)
    if (token === '') return failed(403, 'permission denied')
    const visitor = visitorOf(tokens, token)
    if (!visitor) return failed(403, 'permission denied')
    // A token of a namespace does nothing outside it.
    if (visitor.namespace !== '' && !`${named}/`.startsWith(`${visitor.namespace}/`))
      return failed(403, 'permission denied')
    const body = parse(request.body)
    if (!body) return failed(400, 'error parsing JSON')
    const asked = { method: request.method, query: request.query, body, visitor }
    const ofSystem = system?.({ ...asked, path })
    if (ofSystem) return ofSystem
    const mount = [...mounts.keys()]
      .filter((key) => `${named === '' ? '' : `${named}/`}${path}/`.startsWith(key))
      .sort((a, b) => b.length - a.length)[0]
    const full = named === '' ? path : `${named}/${path}`
    const engine = mount === undefined ? undefined : mounts.get(mount)
    const inner = mount === undefined ? '' : full.slice(mount.length)
    const capability = engine?.capabilityOf({ method: request.method, path: inner }) ?? 'read'
    if (!visitor.may(path, capability)) return failed(403, '1 error occurred:\n\t* permission denied\n\n')
    if (!engine) return failed(404, `no handler for route "${path}". route entry not found.`)
    return engine.handle({ ...asked, path: inner }) ?? failed(404)
  }
}

/** A successful answer, in the envelope that every engine shares. */
export function data(value: unknown, lease: { id?: string; seconds?: number; renewable?: boolean } = {}): Reply {
  return json(200, {
    request_id: randomUUID(),
    lease_id: lease.id ?? '',
    renewable: lease.renewable ?? false,
    lease_duration: lease.seconds ?? 0,
    data: value,
    wrap_info: null,
    warnings: null,
    auth: null,
  })
}

/** An answer with data to a reading that found nothing: how the key-value engine tells of a deleted version. */
export function json404(value: unknown): Reply {
  return { ...data(value), status: 404 }
}

export function failed(status: number, ...errors: readonly string[]): Reply {
  return json(status, { errors })
}

function health(sealed: boolean): Reply {
  const state = { initialized: true, sealed, standby: false, performance_standby: false, version: '2.4.1' }
  return json(sealed ? 503 : 200, { ...state, server_time_utc: Math.floor(Date.now() / 1000) })
}

/** The header names it from the root on; it may also stand at the path's beginning, which is not simulated. */
function namespaceOf({ headers }: SimRequest): string {
  return String(headers['x-vault-namespace'] ?? '').replace(/^\/|\/$/g, '')
}

function tokenOf({ headers }: SimRequest): string {
  const [, bearer = ''] = /^Bearer (.+)$/.exec(headers['authorization'] ?? '') ?? []
  return String(headers['x-vault-token'] ?? bearer)
}

function parse(body: string): Record<string, unknown> | undefined {
  if (body === '') return {}
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
