import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// For tests of the whole: the real program in processes of its own, in a temporary folder, on a free port of loopback.

const main = join(import.meta.dirname, '../main.ts')
const bin = join(import.meta.dirname, '../../bin/atlas.js')
/** Compiling the program takes longer than starting it, and these tests start it a hundred times. */
export const compiled = join(import.meta.dirname, '../../node_modules/.cache/atlas-compiled')

export type Env = Readonly<Record<string, string>>
export type Ended = { readonly code: number | null; readonly signal: string | null; stdout: string; stderr: string }
export type Reply<T> = { readonly status: number; readonly headers: Headers; readonly text: string; readonly body: T }
type Ask = { token?: string | undefined; body?: unknown; headers?: Env }

/** The bootstrap token of servers that are started without another. */
export const adminToken = 'e2e-1Zq8mW4vRt7Ky2Lx9Pb5Nc3Hd6Fg0Js'

/** A `TestContext`, or node:test itself for what a whole file shares. */
export type Cleanup = { readonly after: (clean: () => Promise<void> | void) => void }

/** `through` is a command that runs the server in its place, such as `unshare`. */
type Start = { readonly folder?: string; readonly env?: Env; readonly through?: readonly string[] }

export type Atlas = Awaited<ReturnType<typeof startAtlas>>

/**
 * Starts `atlas serve` and waits until it says that it is ready; fails with its output when it ends before. Nothing of this
 * process's environment reaches it but PATH. `folder` is its working directory, home and the parent of its data; a new one
 * unless given, removed after the test. The process is killed after the test if it still runs.
 */
export async function startAtlas(t: Cleanup, { folder = newFolder(t), env = {}, through = [] }: Start = {}) {
  const full = { ...plainEnv(folder), ATLAS_API_TOKEN: adminToken, ATLAS_RATE_LIMIT_RPM: '1000000', ...env }
  const [command = '', ...args] = [...through, process.execPath, main, 'serve']
  const child = spawn(command, args, { cwd: folder, env: full, stdio: ['ignore', 'pipe', 'pipe'] })
  const output = collect(child)
  const ended = end(child, output)
  t.after(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const url = await readyUrl(child, output)
  const answers: { request: string; status: number; text: string }[] = []

  /** One request to `path`, JSON both ways; the answer is whatever its status. No token for `token: undefined`. */
  async function ask<T = unknown>(method: string, path: string, options: Ask = {}): Promise<Reply<T>> {
    const token = 'token' in options ? options.token : (full['ATLAS_API_TOKEN'] ?? '')
    const { body } = options
    const response = await fetch(url + path, {
      method,
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...options.headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    answers.push({
      request: `${method} ${path}`,
      status: response.status,
      text: `${JSON.stringify([...response.headers])}\n${text}`,
    })
    const isJson = /json/.test(response.headers.get('content-type') ?? '')
    return { status: response.status, headers: response.headers, text, body: (isJson ? JSON.parse(text) : text) as T }
  }

  return {
    url,
    folder,
    dataDir: join(folder, 'data'),
    pid: child.pid as number,
    output,
    /** Every answer to `ask` and `api`: its headers as JSON, and its body. */
    answers,
    ask,
    /** Like `ask` below /api/v1, but throws for any answer that is not 2xx. */
    async api<T = unknown>(method: string, path: string, body?: unknown, token?: string): Promise<T> {
      const options = { ...(body !== undefined && { body }), ...(token !== undefined && { token }) }
      const answer = await ask<T>(method, `/api/v1${path}`, options)
      if (answer.status >= 300) throw new Error(`${method} ${path} answered ${answer.status}: ${answer.text}`)
      return answer.body
    },
    /** Runs `atlas …` as its user would, signed in with the bootstrap token. */
    cli: (args: readonly string[], options: { input?: string; env?: Env } = {}) =>
      runAtlas(args, {
        folder,
        ...options,
        env: { ATLAS_URL: url, ATLAS_TOKEN: full['ATLAS_API_TOKEN'] ?? '', ...options.env },
      }),
    /** Runs `atlas …` until what it prints satisfies `done`, and then interrupts it. */
    async cliUntil(args: readonly string[], done: (text: string) => boolean): Promise<void> {
      let text = ''
      await runAtlas(args, {
        folder,
        env: { ATLAS_URL: url, ATLAS_TOKEN: full['ATLAS_API_TOKEN'] ?? '' },
        seen: (running) =>
          running.stdout?.on('data', (chunk: string) => {
            text += chunk
            if (done(text)) running.kill('SIGINT')
          }),
      })
    },
    /** Sends a signal and waits for the end. */
    stop: (signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> => {
      child.kill(signal)
      return ended
    },
  }
}

/** Runs `bin/atlas.js` with these arguments to its end. `seen` is told the process as soon as it runs. */
export async function runAtlas(
  args: readonly string[],
  options: { folder: string; env?: Env; input?: string; seen?: (child: ChildProcess) => void },
): Promise<Ended> {
  const { folder, env = {}, input = '', seen } = options
  const child = spawn(process.execPath, [bin, ...args], {
    cwd: folder,
    env: { ...plainEnv(folder, false), ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    // What should have ended by itself must not hold up the whole run.
    timeout: 120_000,
    killSignal: 'SIGKILL',
  })
  // Who ends without reading its input closes the pipe; that is its right.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  seen?.(child)
  return end(child, collect(child))
}

/** A new folder of mode 0700, removed after the test. */
export function newFolder(t: Cleanup): string {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-e2e-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function plainEnv(folder: string, isServer = true): Env {
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    NODE_COMPILE_CACHE: compiled,
    ...(isServer && {
      ATLAS_PORT: '0',
      ATLAS_DATA_DIR: join(folder, 'data'),
      ATLAS_ALLOW_LOOPBACK_CONNECTIONS: 'true',
    }),
  }
}

function collect(child: ChildProcess): { stdout: string; stderr: string } {
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
    })
  return output
}

async function end(child: ChildProcess, output: { stdout: string; stderr: string }): Promise<Ended> {
  const [code, signal] = await once(child, 'close')
  return { code, signal, ...output }
}

function readyUrl(child: ChildProcess, output: { stdout: string; stderr: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    const look = () => {
      const [, url] = / is ready at (\S+)\n/.exec(output.stdout) ?? []
      if (url !== undefined) resolve(url)
    }
    child.stdout?.on('data', look)
    child.once('close', (code) =>
      reject(new Error(`The server ended with ${code} before it was ready:\n${output.stdout}${output.stderr}`)),
    )
  })
}
