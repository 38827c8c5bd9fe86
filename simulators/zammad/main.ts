import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeCompany } from '../lib/company.ts'
import { startZammad } from './start.ts'

const usage = `node simulators/zammad/main.ts [options]
  --port N      0 (a free one)
  --devices N   288; --vms N 400
  --seed N      1
  --flaws N     of each planted flaw; 0
  --tickets N   300
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
    tickets: text,
    'ca-dir': text,
    help: { type: 'boolean' },
  },
})
if (values.help) {
  process.stdout.write(`${usage}\n`)
  process.exit(0)
}
const whole = (name: 'port' | 'devices' | 'vms' | 'seed' | 'flaws' | 'tickets', otherwise: number) => {
  const given = values[name] ?? String(otherwise)
  if (/^\d{1,9}$/.test(given)) return Number(given)
  process.stderr.write(`--${name} is not a number\n\n${usage}\n`)
  process.exit(2)
}
const folder = values['ca-dir'] ?? mkdtempSync(join(tmpdir(), 'zammad-simulator-'))
mkdirSync(folder, { recursive: true })
const kept = (name: string, content: string, mode = 0o600) => {
  writeFileSync(join(folder, name), content, { mode })
  return join(folder, name)
}

const zammad = await startZammad({
  port: whole('port', 0),
  tickets: whole('tickets', 300),
  truth: makeCompany({
    devices: whole('devices', 288),
    vms: whole('vms', 400),
    seed: whole('seed', 1),
    copies: whole('flaws', 0),
  }),
})
const files = {
  caFile: kept('ca.pem', zammad.caPem, 0o644),
  credentialFile: kept('credential.json', JSON.stringify(zammad.credential)),
  writerFile: kept('writer.json', JSON.stringify({ token: zammad.tokens.writer })),
  adminTokenFile: kept('sim-admin', zammad.adminToken),
}
process.stdout.write(`${JSON.stringify({ system: 'zammad', url: zammad.url, ...files })}\n`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => zammad.stop().then(() => process.exit(0)))
}
