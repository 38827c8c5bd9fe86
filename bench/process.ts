import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export type Started = Awaited<ReturnType<typeof startProcess>>
type Env = Readonly<Record<string, string>>

/**
 * Runs a file in a Node process of its own until `stop`. Resolves when it prints ` is ready at <url>`, which Atlas and the
 * echo servers do; `millis` from the spawn to there. Of this process's environment only PATH and NODE_OPTIONS go with it.
 */
export async function startProcess(file: string, { args = [], env = {}, cwd = '.' }: StartOptions = {}) {
  const spawned = performance.now()
  const child = spawn(process.execPath, [join(import.meta.dirname, file), ...args], {
    cwd,
    env: { ...inherited(), ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'close')
  const url = await new Promise<string>((resolve, reject) => {
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (said.length < 65_536) said += text
      const [, found] = / is ready at (\S+)\n/.exec(said) ?? []
      if (found !== undefined) resolve(found)
    })
    child.once('close', (code) => reject(new Error(`${file} ended with ${code} before it was ready:\n${said}`)))
  })
  return {
    url,
    pid: child.pid as number,
    spawned,
    async stop(): Promise<void> {
      child.kill('SIGTERM')
      await ended
    },
  }
}

type StartOptions = { readonly args?: readonly string[]; readonly env?: Env; readonly cwd?: string }

/** `atlas serve` on its embedded defaults (encrypted SQLite, every guard on), with all its data in `folder`. */
export function startAtlas(folder: string, env: Env = {}): Promise<Started> {
  const own = { HOME: folder, ATLAS_DATA_DIR: join(folder, 'data'), ATLAS_LOG_LEVEL: 'warn' }
  return startProcess('../src/main.ts', { args: ['serve'], env: { ATLAS_PORT: '0', ...own, ...env }, cwd: folder })
}

/** Runs a file to its end with `input` as standard input, and answers the JSON that it printed. */
export async function runProcess(file: string, input: unknown): Promise<unknown> {
  const child = spawn(process.execPath, [join(import.meta.dirname, file)], {
    env: inherited(),
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  child.stdin.end(JSON.stringify(input))
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${file} ended with ${code}`)
  return JSON.parse(said)
}

/** Processor time that a process used so far, user and system, in milliseconds; NaN where there is no /proc. */
export function cpuMillis(pid: number): number {
  const stat = fromProc(`/proc/${pid}/stat`)
  // The second field, the name, may hold spaces; what counts comes behind its bracket. A tick is 10 ms on Linux.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

/** Resident memory of a process in MiB; NaN where there is no /proc. */
export function residentMib(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(fromProc(`/proc/${pid}/status`))?.[1]) / 1024
}

function fromProc(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function inherited(): Env {
  const { PATH = '', NODE_OPTIONS = '' } = process.env
  return { PATH, ...(NODE_OPTIONS !== '' && { NODE_OPTIONS }) }
}
