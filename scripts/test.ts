import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { startPostgres } from '../src/testing/postgres.ts'

/**
 * Runs the tests with one PostgreSQL for all files. `--fast` (npm run check) leaves out what needs whole systems: the running program
 * (test/e2e and its like), real systems, random faults, and the simulators with their connectors;
 * other arguments are file patterns.
 */
const args = process.argv.slice(2)
const fast = args.includes('--fast')
/** Files that start whole programs, wait for something, or try very many things. */
const slow = [
  'simulators/',
  'test/(e2e|interop|slow|real|faults|anomalies|redaction|integrity|completeness|injection)',
  'src/(rekey-online|root-key-settle|restore)\\.',
  'src/doors/cli/cli\\.',
  'src/features/audit/(log-crash|lease|retention-proofs|sinks/(kill|sinks|syslog))\\.',
  'src/features/inventory/machines/quality\\.',
  'src/features/vault/seals/pkcs11\\.',
].map((start) => new RegExp(`^${start}`))
const patterns = args.filter((arg) => !arg.startsWith('--'))
const files = globSync(
  patterns.length > 0 ? patterns : ['src/**/*.test.ts', 'simulators/**/*.test.ts', 'test/**/*.test.ts'],
)
  .filter((file) => !file.includes('node_modules') && !(fast && slow.some((one) => one.test(file))))
  .sort()
const postgres = await startPostgres()
const env = { ...process.env, ATLAS_TEST_POSTGRES: postgres.url, ...(fast && { ATLAS_TEST_FAST: '1' }) }
const runner = spawn(
  process.execPath,
  [
    '--test',
    '--test-timeout=300000',
    // The default is one less than there are cores, which on two cores leaves one idle.
    `--test-concurrency=${Math.max(2, availableParallelism())}`,
    ...(args.some((arg) => arg.startsWith('--test-reporter')) ? [] : [`--test-reporter=${fast ? 'dot' : 'spec'}`]),
    ...args.filter((a) => a.startsWith('--test')),
    ...files,
  ],
  {
    stdio: 'inherit',
    env,
  },
)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => runner.kill(signal))
const code = await new Promise<number>((resolve) => runner.once('close', (status) => resolve(status ?? 1)))
await postgres.stop()
// Said outright: an exit hook of the PostgreSQL package would otherwise end a failed run with 0.
process.exit(code)
