import { lstatSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { explainUnreachable } from './unreachable.ts'

/** A failure that the person at the terminal can act on. `exitCode` 1: it failed; 2: wrong usage or configuration. */
export class CliError extends Error {
  readonly exitCode: 1 | 2
  readonly problem: unknown
  constructor(message: string, exitCode: 1 | 2 = 1, problem?: unknown) {
    super(message)
    this.name = 'CliError'
    this.exitCode = exitCode
    this.problem = problem
  }
}

export const defaultUrl = 'http://127.0.0.1:8080'

export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>
export type Json = Record<string, unknown>

/** The REST API of a running server, signed in. */
export type Client = {
  readonly url: string
  readonly token: () => string
  get(path: string, query?: Query): Promise<Json>
  send(method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<Json>
  bytes(path: string): Promise<Buffer>
  /** The answer to a GET before its body, for what must not be whole in memory. */
  fetch(path: string): Promise<Response>
}

type Parts = { readonly url?: string | undefined; readonly env: NodeJS.ProcessEnv }

/** `url` from `--server`, `ATLAS_URL` or the default; the token from `ATLAS_TOKEN`, `ATLAS_TOKEN_FILE` or `atlas login`. */
export function makeClient({ url: wanted, env }: Parts): Client {
  const url = (wanted ?? (env['ATLAS_URL'] || defaultUrl)).replace(/\/+$/, '')
  const { protocol, hostname } = parseUrl(url)
  const loopback = hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
  if (protocol !== 'https:' && !loopback)
    throw new CliError(`${url}: plain http is only for this machine; use https`, 2)
  const token = () => findToken(env, url)

  async function call(method: string, path: string, query?: Query, body?: unknown): Promise<Response> {
    const target = new URL(url + path)
    for (const [name, value] of Object.entries(query ?? {}))
      for (const one of Array.isArray(value) ? value : [value])
        if (one !== undefined) target.searchParams.append(name, String(one))
    const headers: Record<string, string> = { accept: 'application/json', authorization: `Bearer ${token()}` }
    if (body !== undefined) headers['content-type'] = 'application/json'
    const init = {
      method,
      headers,
      redirect: 'error' as const,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    }
    const response = await fetch(target, init).catch((error: unknown) => {
      throw new CliError(explainUnreachable(url, error))
    })
    if (!response.ok) throw await failure(response)
    if (response.status === 202) await refusePending(response.clone())
    return response
  }
  const json = async (response: Response): Promise<Json> => {
    const answer: unknown = await response.json().catch(() => undefined)
    if (typeof answer === 'object' && answer !== null) return answer as Json
    throw new CliError(`${url} answers, but not like Atlas; check ATLAS_URL or --server`)
  }
  return {
    url,
    token,
    get: async (path, query) => json(await call('GET', `/api/v1${path}`, query)),
    send: async (method, path, body) => json(await call(method, `/api/v1${path}`, undefined, body)),
    fetch: (path) => call('GET', path),
    bytes: async (path) => Buffer.from(await (await call('GET', path)).arrayBuffer()),
  }
}

/** Where `atlas login` keeps the token of one server. One file each: a token must not be sent to another server. */
export function tokenPath(env: NodeJS.ProcessEnv, url: string): string {
  const folder = env['XDG_CONFIG_HOME'] ?? join(homedir(), '.config')
  return join(folder, 'atlas', 'tokens', encodeURIComponent(new URL(url).origin))
}

function findToken(env: NodeJS.ProcessEnv, url: string): string {
  if (env['ATLAS_TOKEN']) return env['ATLAS_TOKEN']
  const named = env['ATLAS_TOKEN_FILE']
  const file = named ?? tokenPath(env, url)
  const status = lstatSync(file, { throwIfNoEntry: false })
  if (!status && named !== undefined) throw new CliError(`${named} (ATLAS_TOKEN_FILE) does not exist`, 2)
  if (!status)
    throw new CliError('Not signed in to this server. Run `atlas login`, or set ATLAS_TOKEN or ATLAS_TOKEN_FILE.', 2)
  if (status.mode & 0o077) throw new CliError(`${file} can be read by others; run: chmod 600 ${file}`, 2)
  return readFileSync(file, 'utf8').trim()
}

async function failure(response: Response): Promise<CliError> {
  const isProblem = response.headers.get('content-type')?.startsWith('application/problem+json')
  if (!isProblem)
    return new CliError(
      `${new URL(response.url).origin} answered ${response.status} and not like Atlas; check ATLAS_URL or --server`,
    )
  const problem = (await response.json().catch(() => ({}))) as Shown
  const words = wordsOf(problem)
  const isSignIn = /\/(login|setup)$/.test(new URL(response.url).pathname)
  const hint = problem.type === 'sealed' ? sealedHint : response.status === 401 && !isSignIn ? tokenHint : ''
  return new CliError(
    `${words}${hint}${problem.requestId ? ` (request ${problem.requestId})` : ''}`,
    response.status === 400 ? 2 : 1,
    problem,
  )
}

const tokenHint = '. Run `atlas login`, or check ATLAS_TOKEN'
const sealedHint =
  ': the server waits for its root key. Give it shares of the recovery kit (atlas vault unseal); with ATLAS_SEAL its own output says why the provider does not give it'

/** A call that waits for a yes has done nothing; no command may take its answer for what it asked for. */
async function refusePending(response: Response): Promise<void> {
  const answer = (await response.json().catch(() => ({}))) as { readonly pending?: unknown }
  if (typeof answer.pending !== 'string') return
  const { pending } = answer
  throw new CliError(
    `Nothing was done yet: another person must approve this exact call (atlas approvals approve ${pending}). Then send it again over REST with the header Atlas-Approval: ${pending}`,
    1,
    answer,
  )
}

type Shown = {
  readonly type?: string
  readonly title?: string
  readonly detail?: string
  readonly requestId?: string
  readonly errors?: readonly { readonly field: string; readonly rule: string }[]
}

/** What was wrong with the input is said by the names of the fields, without what only programs need. */
function wordsOf({ title, detail, errors = [] }: Shown): string {
  if (errors.length > 0) return errors.map(({ field, rule }) => `${field.replace(/^\//, '')}: ${rule}`).join('; ')
  return [title, detail].filter(Boolean).join(': ')
}

function parseUrl(url: string): URL {
  if (!URL.canParse(url)) throw new CliError(`${url} is not a URL; write it like https://atlas.example.org`, 2)
  return new URL(url)
}
