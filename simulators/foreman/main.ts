import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeCompany } from '../lib/company.ts'
import { startForeman } from './start.ts'

const usage = `node simulators/foreman/main.ts [options]
  --port N      0 (a free one)
  --devices N   288
  --vms N       400
  --seed N      1
  --flaws N     0; copies of each planted flaw
  --dir DIR     where ca.pem and the credential files are written (a new folder)
Prints one JSON line when it is ready. SIGINT or SIGTERM ends it.`

const text = { type: 'string' } as const
const { values } = parseArgs({
  options: { port: text, devices: text, vms: text, seed: text, flaws: text, dir: text, help: { type: 'boolean' } },
})
if (values.help) {
  process.stdout.write(`${usage}\n`)
  process.exit(0)
}

const folder = values.dir ?? mkdtempSync(join(tmpdir(), 'foreman-simulator-'))
mkdirSync(folder, { recursive: true })
const truth = makeCompany({
  devices: whole('devices', 288),
  vms: whole('vms', 400),
  seed: whole('seed', 1),
  copies: whole('flaws', 0),
})
const foreman = await startForeman({ truth, port: whole('port', 0) })
const files = {
  caFile: kept('ca.pem', foreman.caPem),
  credentialFile: kept('credential.json', JSON.stringify(foreman.credential)),
  writerCredentialFile: kept('credential-writer.json', JSON.stringify(foreman.credentials.writer)),
  adminTokenFile: kept('sim-admin', foreman.adminToken),
}
process.stdout.write(`${JSON.stringify({ system: 'foreman', url: foreman.url, ...files })}\n`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => foreman.stop().then(() => process.exit(0)))
}

function whole(name: 'port' | 'devices' | 'vms' | 'seed' | 'flaws', otherwise: number): number {
  const given = values[name] ?? String(otherwise)
  if (/^\d{1,9}$/.test(given)) return Number(given)
  process.stderr.write(`--${name} is not a number\n\n${usage}\n`)
  process.exit(2)
}

function kept(name: string, content: string): string {
  const file = join(folder, name)
  writeFileSync(file, content, { mode: name === 'ca.pem' ? 0o644 : 0o600 })
  return file
}
