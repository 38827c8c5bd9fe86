import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeCompany } from '../lib/company.ts'
import { startCommvault } from './start.ts'

const usage = `node simulators/commvault/main.ts [options]
  --port N      0 (a free one)
  --devices N   288; --vms N 400
  --seed N      1
  --flaws N     of each planted flaw; 0
  --ca-dir DIR  where ca.pem and the credentials are written (a new folder)
Prints one JSON line when it is ready. SIGINT or SIGTERM ends it.`

const text = { type: 'string' } as const
const { values } = parseArgs({
  options: { port: text, devices: text, vms: text, seed: text, flaws: text, 'ca-dir': text, help: { type: 'boolean' } },
})
if (values.help) {
  process.stdout.write(`${usage}\n`)
  process.exit(0)
}
const whole = (name: 'port' | 'devices' | 'vms' | 'seed' | 'flaws', otherwise: number) => {
  const given = values[name] ?? String(otherwise)
  if (/^\d{1,9}$/.test(given)) return Number(given)
  process.stderr.write(`--${name} is not a number\n\n${usage}\n`)
  process.exit(2)
}
const folder = values['ca-dir'] ?? mkdtempSync(join(tmpdir(), 'commvault-simulator-'))
mkdirSync(folder, { recursive: true })
const kept = (name: string, content: string, mode = 0o600) => {
  writeFileSync(join(folder, name), content, { mode })
  return join(folder, name)
}

const commvault = await startCommvault({
  port: whole('port', 0),
  truth: makeCompany({
    devices: whole('devices', 288),
    vms: whole('vms', 400),
    seed: whole('seed', 1),
    copies: whole('flaws', 0),
  }),
})
const files = {
  caFile: kept('ca.pem', commvault.caPem, 0o644),
  credentialFile: kept('credential.json', JSON.stringify(commvault.credential)),
  writerFile: kept('writer.json', JSON.stringify(commvault.writer)),
  tokensFile: kept('tokens.json', JSON.stringify(commvault.createToken())),
  adminTokenFile: kept('sim-admin', commvault.adminToken),
}
process.stdout.write(`${JSON.stringify({ system: 'commvault', url: commvault.url, ...files })}\n`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => commvault.stop().then(() => process.exit(0)))
}
