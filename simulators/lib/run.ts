import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeCompany } from './company.ts'
import type { Truth } from './truth.ts'

type Running = {
  readonly url: string
  readonly caPem: string
  readonly credential: unknown
  readonly adminToken: string
  readonly stop: () => Promise<void>
}

type Program<S extends Running, N extends string> = {
  /** As it is called in `system` of the printed line. */
  readonly system: string
  /** What a new folder's name begins with. */
  readonly folder: string
  readonly usage: string
  /** Numbers of its own, with what they are when they are not given. */
  readonly numbers?: Readonly<Record<N, number>>
  readonly start: (given: { truth: Truth; port: number; numbers: Readonly<Record<N, number>> }) => Promise<S>
  /** Further files beside those of every simulator: key in the printed line → name and content. */
  readonly files: (running: S) => Readonly<Record<string, readonly [name: string, content: string]>>
}

const shared = { port: 0, devices: 288, vms: 400, seed: 1, flaws: 0 }

/** A simulator run alone: reads the options, starts it, prints one JSON line, and ends with SIGINT or SIGTERM. */
export async function runAlone<S extends Running, N extends string = never>(program: Program<S, N>): Promise<void> {
  const { system, usage } = program
  const defaults: Readonly<Record<string, number>> = { ...shared, ...program.numbers }
  const text = { type: 'string' } as const
  const options = Object.fromEntries([...Object.keys(defaults), 'ca-dir'].map((name) => [name, text]))
  const parsed = parseArgs({ options: { ...options, help: { type: 'boolean' } } })
  const values: Readonly<Record<string, unknown>> = parsed.values
  if (values['help']) {
    process.stdout.write(`${usage}\n`)
    process.exit(0)
  }
  const whole = (name: string): number => {
    const given = String(values[name] ?? defaults[name])
    if (/^\d{1,9}$/.test(given)) return Number(given)
    process.stderr.write(`--${name} is not a number\n\n${usage}\n`)
    process.exit(2)
  }
  const [devices, vms, seed, copies] = ['devices', 'vms', 'seed', 'flaws'].map(whole)
  const truth = makeCompany({ devices, vms, seed, copies } as Record<'devices' | 'vms' | 'seed' | 'copies', number>)
  const numbers = Object.fromEntries(Object.keys(program.numbers ?? {}).map((name) => [name, whole(name)]))
  const port = whole('port')
  const folder = String(values['ca-dir'] ?? mkdtempSync(join(tmpdir(), program.folder)))
  mkdirSync(folder, { recursive: true })
  const kept = (name: string, content: string, mode = 0o600): string => {
    writeFileSync(join(folder, name), content, { mode })
    return join(folder, name)
  }

  const running = await program.start({ truth, port, numbers: numbers as Record<N, number> })
  const files = {
    caFile: kept('ca.pem', running.caPem, 0o644),
    credentialFile: kept('credential.json', JSON.stringify(running.credential)),
    ...Object.fromEntries(Object.entries(program.files(running)).map(([key, file]) => [key, kept(...file)])),
    adminTokenFile: kept('sim-admin', running.adminToken),
  }
  process.stdout.write(`${JSON.stringify({ system, url: running.url, ...files })}\n`)
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => running.stop().then(() => process.exit(0)))
}
