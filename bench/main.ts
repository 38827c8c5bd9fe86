import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { note, type Print } from './line.ts'

/**
 * `npm run bench -- <name> [--quick]`: one JSON line per figure on standard output, progress on standard error. What the
 * figures mean is in docs/performance.md.
 */
type Options = { readonly quick: boolean; readonly assets: number | undefined; readonly postgres: boolean }

const benches: Readonly<Record<string, (print: Print, options: Options) => Promise<void>>> = {
  mcp: async (print, { quick }) => (await import('./mcp.ts')).benchMcp(print, { quick }),
  audit: async (print) => (await import('./audit.ts')).benchAudit(print),
  vault: async (print, { quick }) => (await import('./vault.ts')).benchVault(print, { quick }),
  search: async (print, { quick, assets = quick ? 20_000 : 1_000_000 }) =>
    (await import('./search.ts')).benchSearch(print, { assets }),
  estate: async (print, { quick, assets = quick ? 20_000 : 1_000_000, postgres }) =>
    (await import('./estate.ts')).benchEstate(print, { assets, postgres }),
  sync: async (print, { quick }) => (await import('./sync.ts')).benchSync(print, { devices: quick ? 1_000 : 20_000 }),
  backup: async (print, { quick }) =>
    (await import('./backup.ts')).benchBackup(print, { rows: quick ? 20_000 : 250_000 }),
  start: async (print, { quick }) => (await import('./start.ts')).benchStart(print, { quick }),
}
const usage = `npm run bench -- <name …>|all [--quick] [--assets N] [--postgres], where a name is one of ${Object.keys(benches).join(', ')}`

process.exitCode = await main()

async function main(): Promise<number> {
  const asked = read()
  if (asked === undefined) {
    note(`Usage: ${usage}`)
    return 2
  }
  const { names, ...options } = asked
  const [first, ...more] = names
  if (first === undefined || more.length > 0) return several(names, options)
  await benches[first]?.(print, options)
  return 0
}

function read(): (Options & { names: readonly string[] }) | undefined {
  try {
    const options = {
      quick: { type: 'boolean', default: false },
      assets: { type: 'string' },
      postgres: { type: 'boolean', default: false },
    } as const
    const { positionals, values } = parseArgs({ options, allowPositionals: true })
    const names = positionals.includes('all') ? Object.keys(benches) : positionals
    const given = values.assets === undefined ? undefined : Number(values.assets)
    if (names.length === 0 || !names.every((name) => Object.hasOwn(benches, name))) return undefined
    if (given !== undefined && !(Number.isInteger(given) && given > 0)) return undefined
    // Filling both databases with a million takes longer than everything else together.
    const assets = given ?? (positionals.includes('all') && !values.quick ? 200_000 : undefined)
    return { names, quick: values.quick, assets, postgres: values.postgres }
  } catch {
    return undefined
  }
}

/** Each in a process of its own: what one leaves on the heap must not slow the next. All run, also when one fails. */
function several(names: readonly string[], { quick, assets, postgres }: Options): number {
  let failed = 0
  for (const name of names) {
    const flags = [
      ...(quick ? ['--quick'] : []),
      ...(postgres ? ['--postgres'] : []),
      ...(assets === undefined ? [] : [`--assets=${assets}`]),
    ]
    const { status } = spawnSync(process.execPath, [import.meta.filename, name, ...flags], { stdio: 'inherit' })
    if (status !== 0) {
      note(`${name} failed`)
      failed += 1
    }
  }
  return failed === 0 ? 0 : 1
}

function print(line: Parameters<Print>[0]): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}
