import { spawn } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

/**
 * `npm run test:real [-- name …]`: starts real systems one after the other (scripts that print `NAME=value …` on their last
 * line; `--scripts <folder>` or ../shared/real), runs test/real against each, and stops it. A system that does not start is
 * skipped with its reason. Ends with 1 when a test failed, not when a system was missing.
 */
const systems: Readonly<Record<string, string>> = {
  'swift-s3': 'zadara-object',
  vcsim: 'vcenter',
  puppetdb: 'puppetdb',
  zabbix: 'zabbix',
}
const { values, positionals } = parseArgs({
  options: { scripts: { type: 'string', default: join(import.meta.dirname, '../../shared/real') } },
  allowPositionals: true,
})
const startMs = 15 * 60_000
const testMs = 10 * 60_000

let failed = 0
for (const [script, connector] of Object.entries(systems)) {
  if (positionals.length > 0 && !positionals.includes(script) && !positionals.includes(connector)) continue
  const path = join(values.scripts, `${script}.sh`)
  const tests = globSync(`test/real/${connector}*.test.ts`)
  const why = !existsSync(path) ? `${path} is not there` : tests.length === 0 ? 'there is no test for it' : undefined
  if (why !== undefined) {
    say(`skipped ${connector}: ${why}`)
    continue
  }
  say(`starting ${script} (this can take minutes the first time)`)
  const started = await run(path, ['start'], startMs)
  const env = variables(started.output)
  if (started.code !== 0 || Object.keys(env).length === 0) {
    say(`skipped ${connector}: ${script} did not start: ${started.output.trim().split('\n').at(-1) ?? started.code}`)
  } else {
    const tested = await run(process.execPath, ['--test', '--test-reporter=spec', ...tests], testMs, env, true)
    if (tested.code !== 0) failed++
    say(`${connector} against ${script}: ${tested.code === 0 ? 'passed' : 'FAILED'}`)
  }
  await run(path, ['stop'], 60_000)
}
process.exit(failed === 0 ? 0 : 1)

/** `NAME=value` words of the last line that has any. */
function variables(output: string): Record<string, string> {
  const line = output
    .split('\n')
    .reverse()
    .find((text) => /^[A-Z][A-Z0-9_]*=/.test(text))
  return Object.fromEntries(
    [...(line ?? '').matchAll(/([A-Z][A-Z0-9_]*)=(\S+)/g)].map(([, name, value]) => [name, value]),
  )
}

function run(
  path: string,
  args: readonly string[],
  timeout: number,
  env: Record<string, string> = {},
  isShown = false,
) {
  const child = spawn(path, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout,
    killSignal: 'SIGTERM',
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (isShown) process.stdout.write(text)
    })
  return new Promise<{ code: number | null; output: string }>((resolve) => {
    child.once('error', (error) => resolve({ code: 1, output: error.message }))
    // A daemon that the script leaves behind keeps the pipes open, so the exit counts, not their end.
    child.once('exit', (code) => resolve({ code, output }))
  })
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
