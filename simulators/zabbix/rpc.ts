import { json, type Reply, type SimRequest } from '../lib/server.ts'
import { type Accounts, mayCall, type Refusal, type User } from './accounts.ts'
import { ApiError, type Params } from './options.ts'
import type { Mode } from './reads.ts'

/** One call as it was asked, without its credential. `auth` says where that came: nowhere, in the body, the header, or both. */
export type LoggedCall = {
  readonly method: string
  readonly params: unknown
  readonly auth: 'none' | 'body' | 'header' | 'both'
}

export type Method = (params: Params, user: User) => unknown

type Parts = {
  readonly mode: () => Mode
  readonly accounts: Accounts
  readonly methods: Readonly<Record<string, Method>>
  readonly calls: LoggedCall[]
}

type Call = { readonly method: string; readonly params: Params; readonly auth?: string | null; readonly id?: unknown }

const versions: Readonly<Record<Mode, string>> = { '6.0': '6.0.14', '7.0': '7.0.5', '7.2': '7.2.3' }
const openMethods = ['apiinfo.version', 'user.login', 'user.checkAuthentication']
const accepted = ['application/json-rpc', 'application/json', 'application/jsonrequest']
const messages: Readonly<Record<number, string>> = {
  [-32700]: 'Parse error',
  [-32600]: 'Invalid request.',
  [-32601]: 'Method not found.',
  [-32602]: 'Invalid params.',
  [-32500]: 'Application error.',
}
/** Methods that type User may not call, whatever its role says. */
const leastType: Readonly<Record<string, number>> = { 'maintenance.create': 2, 'host.create': 2 }

/** `api_jsonrpc.php`: JSON-RPC 2.0 over POST, status 200 for everything but a wrong content type. */
export function makeRpc({ mode, accounts, methods, calls }: Parts) {
  function answer(request: SimRequest): Reply {
    const type = (request.headers['content-type'] ?? '').split(';')[0] as string
    if (request.method === 'OPTIONS') return { status: 200 }
    if (!accepted.includes(type)) return { status: 412 }
    if (request.fault === 'no-database')
      return json(200, { jsonrpc: '2.0', error: { code: 1, message: 'Error connecting to database', data: '' }, id: 1 })
    let given: unknown
    try {
      given = JSON.parse(request.body)
    } catch {
      return json(
        200,
        failure(-32700, 'Invalid JSON. An error occurred on the server while parsing the JSON text.', null),
      )
    }
    if (Array.isArray(given)) {
      const replies = given.map((one) => oneCall(one, request)).filter((reply) => reply !== undefined)
      return replies.length === 0 ? { status: 200 } : json(200, replies)
    }
    const reply = oneCall(given, request)
    if (reply === undefined) return { status: 200 }
    const result = (reply as { result?: unknown }).result
    return { ...json(200, reply), ...(Array.isArray(result) && { items: result.length }) }
  }

  /** Undefined for a notification. */
  function oneCall(given: unknown, request: SimRequest): object | undefined {
    const wrong = formFault(given, mode())
    if (wrong !== undefined) return failure(-32600, wrong, idOf(given))
    const call = given as Call
    const header = mode() === '6.0' ? undefined : bearerOf(request)
    const inBody = call.auth ?? undefined
    const auth =
      header !== undefined && inBody !== undefined
        ? 'both'
        : header !== undefined
          ? 'header'
          : inBody !== undefined
            ? 'body'
            : 'none'
    calls.push({ method: call.method, params: call.params, auth })
    try {
      if (request.fault === 'rpc-error')
        throw new ApiError(-32500, 'SQL statement execution has failed "SELECT secret FROM users".')
      const result = run(call, header ?? inBody)
      return 'id' in call ? { jsonrpc: '2.0', result, id: call.id } : undefined
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      return 'id' in call ? failure(error.code, error.message, call.id) : undefined
    }
  }

  function run({ method, params }: Call, auth: string | undefined): unknown {
    if (openMethods.includes(method)) {
      const how = mode() === '6.0' ? 'the "auth" parameter' : 'authorization header'
      if (auth !== undefined) throw new ApiError(-32602, `The "${method}" method must be called without ${how}.`)
      return open(method, params)
    }
    const known = methods[method]
    if (!known && method !== 'user.logout' && method !== 'host.create')
      throw new ApiError(-32601, `Incorrect API "${method.split('.')[0]}".`)
    const user = allowed(accounts.authenticate(auth))
    if (!mayCall(user, method, leastType[method] ?? 1))
      throw new ApiError(-32602, `No permissions to call "${method}".`)
    if (method === 'user.logout') {
      if (!accounts.logout(auth as string)) throw new ApiError(-32602, 'Cannot log out.')
      return true
    }
    return known?.(params, user) ?? null
  }

  function open(method: string, params: Params): unknown {
    if (method === 'apiinfo.version') return versions[mode()]
    if (method === 'user.login') {
      const strange = Object.keys(params).find((name) => !['username', 'password', 'userData'].includes(name))
      if (strange !== undefined) throw new ApiError(-32602, `Invalid parameter "/": unexpected parameter "${strange}".`)
      return allowed(accounts.login(params['username'], params['password']))
    }
    const { sessionid, token } = params as { sessionid?: string; token?: string }
    if ((sessionid === undefined) === (token === undefined))
      throw new ApiError(-32602, 'Session ID or token is expected.')
    const { userid, username, role } = allowed(
      token === undefined ? accounts.ofSession(sessionid ?? '') : accounts.ofToken(token),
    )
    return {
      userid,
      username,
      roleid: role.roleid,
      type: role.type,
      userip: '127.0.0.1',
      debug_mode: 0,
      gui_access: '0',
      ...(sessionid !== undefined && { sessionid }),
    }
  }

  return answer
}

function allowed<T>(outcome: T | Refusal): T {
  if (typeof outcome === 'object' && outcome !== null && 'code' in outcome)
    throw new ApiError(outcome.code, outcome.data)
  return outcome as T
}

/** What is wrong with the form of one call, in Zabbix's words. */
function formFault(given: unknown, mode: Mode): string | undefined {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    return 'Invalid parameter "/": an array is expected.'
  const call = given as Record<string, unknown>
  const known = ['jsonrpc', 'method', 'params', 'id', ...(mode === '7.2' ? [] : ['auth'])]
  const strange = Object.keys(call).find((name) => !known.includes(name))
  if (strange !== undefined) return `Invalid parameter "/": unexpected parameter "${strange}".`
  const missing = ['jsonrpc', 'method', 'params'].find((name) => !(name in call))
  if (missing !== undefined) return `Invalid parameter "/": the parameter "${missing}" is missing.`
  if (call['jsonrpc'] !== '2.0') return 'Invalid parameter "/jsonrpc": value must be "2.0".'
  if (call['auth'] === '') return 'Invalid parameter "/auth": cannot be empty.'
  if (typeof call['params'] !== 'object' || call['params'] === null)
    return 'Invalid parameter "/params": an array or object is expected.'
  return typeof call['method'] === 'string' ? undefined : 'Invalid parameter "/method": a character string is expected.'
}

function idOf(given: unknown): unknown {
  return typeof given === 'object' && given !== null && 'id' in given ? given.id : null
}

function failure(code: number, data: string, id: unknown): object {
  return { jsonrpc: '2.0', error: { code, message: messages[code] ?? 'System error.', data }, id }
}

function bearerOf({ headers }: SimRequest): string | undefined {
  return /^Bearer\s+(\S+)$/.exec(headers.authorization ?? '')?.[1]
}
