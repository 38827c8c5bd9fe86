import { json, type Reply, type SimRequest } from '../lib/server.ts'
import { type Account, hostPermissions, type makeAccounts } from './accounts.ts'
import type { Audits } from './audits.ts'
import type { Hosts } from './hosts.ts'
import { compile, type Field, lowestId, SearchFault } from './search.ts'

type Parts = {
  readonly version: string
  readonly hosts: Hosts
  readonly audits: Audits
  readonly accounts: ReturnType<typeof makeAccounts>
}

/** Foreman's API v2: status, the signed-in user, hosts, audits. */
export function makeApi({ version, hosts, audits, accounts }: Parts) {
  const lists = { hosts: hostFields(hosts), audits: auditFields(audits) }

  return function handle(request: SimRequest): Reply {
    const { method, path, headers, remoteAddress } = request
    const about = { foreman_version: version, foreman_api_version: '2' }
    const account = accounts.authenticate(headers.authorization, remoteAddress)
    if (typeof account === 'string') return fault(401, { message: account }, about)
    if ((method === 'POST' || method === 'PUT') && !/^application\/json\b/.test(headers['content-type'] ?? '')) {
      return fault(415, { message: "'Content-Type: application/json' is required for POST and PUT requests" }, about)
    }
    const [, api, kind, id, ...deeper] = path.replace(/^\/api\/v2\//, '/api/').split('/')
    if (api !== 'api' || deeper.length > 0) return fault(404, { message: 'Route not found' }, about)
    const reply = route(request, account, kind ?? '', id)
    return { ...reply, headers: { ...about, ...reply.headers } }
  }

  function route(request: SimRequest, account: Account, kind: string, id: string | undefined): Reply {
    const { method } = request
    if (method === 'GET' && id === undefined) {
      if (kind === 'status') return json(200, { result: 'ok', status: 200, version, api_version: 2 })
      if (kind === 'current_user') return json(200, { id: 4, login: account.login, admin: account.admin, roles: [] })
      if (kind === 'hosts') return allowed(account, 'view_hosts') ?? list(request, lists.hosts)
      if (kind === 'audits') return allowed(account, 'view_audit_logs') ?? list(request, lists.audits)
    }
    if (kind === 'hosts' && id !== undefined) {
      if (method === 'GET') return allowed(account, 'view_hosts') ?? show(account, id)
      if (method === 'PUT') return allowed(account, 'edit_hosts') ?? update(request, account, id)
    }
    return fault(404, { message: 'Route not found' })
  }

  function show(account: Account, id: string): Reply {
    const found = find(id)
    if (found === undefined) return missing(id)
    const permissions = Object.fromEntries(hostPermissions.map((name) => [name, account.permissions.includes(name)]))
    return json(200, { ...hosts.detail(found), permissions })
  }

  function update({ body }: SimRequest, account: Account, id: string): Reply {
    const found = find(id)
    if (found === undefined) return missing(id)
    const { comment } = (JSON.parse(body) as { host?: { comment?: string } }).host ?? {}
    if (hosts.invalid.has(found)) {
      const errors = { 'interfaces.mac': ['has already been taken by 10.1.2.3'] }
      return fault(422, { id: found, errors, full_messages: ['Interfaces mac has already been taken by 10.1.2.3'] })
    }
    audits.edit(found, { ...(comment !== undefined && { comment }) }, account.login)
    return json(200, hosts.detail(found))
  }

  /** By number or by name, as Foreman does. */
  function find(id: string): number | undefined {
    const wanted = decodeURIComponent(id)
    return hosts.ids.find((one) => String(one) === wanted || hosts.nameOf(one) === wanted)
  }
}

type List = {
  readonly ids: () => readonly number[]
  readonly fields: Readonly<Record<string, Field>>
  readonly row: (id: number) => unknown
  /** Where ids rise, a search by id can begin in the middle. */
  readonly sorted: boolean
}

function list({ query, fault: planned }: SimRequest, { ids, fields, row, sorted }: List): Reply {
  const search = planned === 'search-ignored' ? '' : (query.get('search') ?? '')
  const perPage = Number(query.get('per_page') ?? 20)
  const page = Number(query.get('page') ?? 1)
  try {
    const matches = compile(search, fields)
    const order = query.get('order')
    if (order !== null && !fields[order.split(' ')[0] ?? '']) {
      throw new SearchFault(`the field '${order.split(' ')[0]}' in the order statement is not valid field for search`)
    }
    const all = ids()
    const from = sorted ? firstAfter(all, lowestId(search)) : 0
    const found = all.slice(from).filter(matches)
    const rows = found.slice((page - 1) * perPage, page * perPage).map(row)
    if (planned === 'short-page') rows.splice(0)
    const sort = { by: order?.split(' ')[0] ?? null, order: order?.split(' ')[1] ?? null }
    const meta = { total: all.length, subtotal: found.length, page, per_page: perPage, search: search || null, sort }
    return { ...json(200, { ...meta, results: rows }), items: rows.length }
  } catch (error) {
    if (error instanceof SearchFault) return fault(400, { message: error.message })
    throw error
  }
}

function hostFields(hosts: Hosts): List {
  const text = (name: string): Field => ({ type: 'text', of: (id) => hosts.row(id)[name] as string | null })
  return {
    ids: () => hosts.ids,
    sorted: true,
    row: hosts.row,
    fields: {
      id: { type: 'number', of: (id) => id },
      name: { type: 'text', of: hosts.nameOf },
      last_report: { type: 'time', of: hosts.reportAt },
      hostgroup_title: text('hostgroup_title'),
      location: text('location_name'),
      organization: text('organization_name'),
      domain: text('domain_name'),
      os_title: text('operatingsystem_name'),
      comment: text('comment'),
      global_status: {
        type: 'set',
        values: { ok: 0, warning: 1, error: 2 },
        of: (id) => hosts.row(id)['global_status'] as number,
      },
      // No `updated_at`: the real one cannot be searched either.
    },
  }
}

function auditFields(audits: Audits): List {
  return {
    ids: audits.ids,
    sorted: false,
    row: audits.row,
    fields: {
      time: { type: 'time', of: (id) => audits.at(id) },
      type: { type: 'set', values: { host: 1, user: 2 }, of: () => 1 },
    },
  }
}

function allowed({ permissions, admin }: Account, permission: string): Reply | undefined {
  if (admin || permissions.includes(permission)) return undefined
  const details = `Missing one of the required permissions: ${permission}`
  return fault(403, { message: 'Access denied', details, missing_permissions: [permission] })
}

function missing(id: string): Reply {
  return fault(404, { message: `Resource host not found by id '${id}'` })
}

function fault(status: number, error: object, headers: Readonly<Record<string, string>> = {}): Reply {
  return json(status, { error }, headers)
}

function firstAfter(ids: readonly number[], id: number): number {
  let [low, high] = [0, ids.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((ids[middle] as number) > id) high = middle
    else low = middle + 1
  }
  return low
}
