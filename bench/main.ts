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
  search: async (print, { quick, assets = quick ? 20_000 : 1_000_000 }) =>
    (await import('./search.ts')).benchSearch(print, { assets }),
  estate: async (print, { quick, assets = quick ? 20_000 : 1_000_000, postgres }) =>
    (await import('./estate.ts')).benchEstate(print, { assets, postgres }),
  sync: async (print, { quick }) => (await import('./sync.ts')).benchSync(print, { devices: quick ? 1_000 : 20_000 }),
  start: async (print, { quick }) => (await import('./start.ts')).benchStart(print, { quick }),
}
const usage = `npm run bench -- ${Object.keys(benches).join('|')}|all [--quick] [--assets N] [--postgres]`

process.exitCode = await main()

async function main(): Promise<number> {
  const asked = read()
  if (asked === undefined) {
    note(`Usage: ${usage}`)
    return 2
  }
  if (asked.name === 'all') return all()
  await benches[asked.name]?.(print, asked)
  return 0
}

function read(): (Options & { name: string }) | undefined {
  try {
    const options = {
      quick: { type: 'boolean', default: false },
      assets: { type: 'string' },
      postgres: { type: 'boolean', default: false },
    } as const
    const { positionals, values } = parseArgs({ options, allowPositionals: true })
    const [name = '', ...more] = positionals
    const assets = values.assets === undefined ? undefined : Number(values.assets)
    if (more.length > 0 || !(name === 'all' || Object.hasOwn(benches, name))) return undefined
    if (assets !== undefined && !(Number.isInteger(assets) && assets > 0)) return undefined
    return { name, quick: values.quick, assets, postgres: values.postgres }
  } catch {
    return undefined
  }
}

/** Each in a process of its own: what one leaves on the heap must not slow the next. All run, also when one fails. */
function all(): number {
  let failed = 0
  for (const name of Object.keys(benches)) {
    const given = process.argv.slice(2).filter((arg) => arg !== 'all')
    // A later `--assets` wins. Filling both databases with a million takes longer than everything else together.
    const args = [import.meta.filename, name, ...(given.includes('--quick') ? [] : ['--assets=200000']), ...given]
    const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
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
