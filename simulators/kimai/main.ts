import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeCompany } from '../lib/company.ts'
import { startKimai } from './start.ts'

const usage = `node simulators/kimai/main.ts [options]
  --port N      0 (a free one)
  --devices N   288; --vms N 400
  --seed N      1
  --flaws N     of each planted flaw; 0
  --times N     300
  --ca-dir DIR  where ca.pem and the credentials are written (a new folder)
Prints one JSON line when it is ready. SIGINT or SIGTERM ends it.`

const text = { type: 'string' } as const
const { values } = parseArgs({
  options: {
    port: text,
    devices: text,
    vms: text,
    seed: text,
    flaws: text,
    times: text,
    'ca-dir': text,
    help: { type: 'boolean' },
  },
})
if (values.help) {
  process.stdout.write(`${usage}\n`)
  process.exit(0)
}
const whole = (name: 'port' | 'devices' | 'vms' | 'seed' | 'flaws' | 'times', otherwise: number) => {
  const given = values[name] ?? String(otherwise)
  if (/^\d{1,9}$/.test(given)) return Number(given)
  process.stderr.write(`--${name} is not a number\n\n${usage}\n`)
  process.exit(2)
}
const folder = values['ca-dir'] ?? mkdtempSync(join(tmpdir(), 'kimai-simulator-'))
mkdirSync(folder, { recursive: true })
const kept = (name: string, content: string, mode = 0o600) => {
  writeFileSync(join(folder, name), content, { mode })
  return join(folder, name)
}

const kimai = await startKimai({
  port: whole('port', 0),
  timesheets: whole('times', 300),
  truth: makeCompany({
    devices: whole('devices', 288),
    vms: whole('vms', 400),
    seed: whole('seed', 1),
    copies: whole('flaws', 0),
  }),
})
const files = {
  caFile: kept('ca.pem', kimai.caPem, 0o644),
  credentialFile: kept('credential.json', JSON.stringify(kimai.credential)),
  writerFile: kept('writer.json', JSON.stringify({ token: kimai.tokens.writer })),
  adminTokenFile: kept('sim-admin', kimai.adminToken),
}
process.stdout.write(`${JSON.stringify({ system: 'kimai', url: kimai.url, ...files })}\n`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => kimai.stop().then(() => process.exit(0)))
}
