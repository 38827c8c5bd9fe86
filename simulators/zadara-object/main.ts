import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeCompany } from '../lib/company.ts'
import { startObjectStorage } from './start.ts'

const usage = `node simulators/zadara-object/main.ts [options]
  --port N       0 (a free one)
  --devices N    288; --vms N 400
  --seed N       1
  --flaws N      copies of each planted flaw, 0
  --ca-dir DIR   where ca.pem and the credential files are written (a new folder)
Prints one JSON line when it is ready. SIGINT or SIGTERM ends it.`

const number = { type: 'string' } as const
const { values } = parseArgs({
  options: {
    port: number,
    devices: number,
    vms: number,
    seed: number,
    flaws: number,
    'ca-dir': { type: 'string' },
    help: { type: 'boolean' },
  },
})
if (values.help) {
  process.stdout.write(`${usage}\n`)
  process.exit(0)
}
const whole = (name: 'port' | 'devices' | 'vms' | 'seed' | 'flaws', otherwise: number): number => {
  const text = values[name] ?? String(otherwise)
  if (/^\d{1,9}$/.test(text)) return Number(text)
  process.stderr.write(`--${name} is not a number\n\n${usage}\n`)
  process.exit(2)
}

const truth = makeCompany({
  devices: whole('devices', 288),
  vms: whole('vms', 400),
  seed: whole('seed', 1),
  copies: whole('flaws', 0),
})
const storage = await startObjectStorage({ truth, port: whole('port', 0) })
const folder = values['ca-dir'] ?? mkdtempSync(join(tmpdir(), 'object-simulator-'))
mkdirSync(folder, { recursive: true })
const kept = (name: string, content: string, mode = 0o600): string => {
  const file = join(folder, name)
  writeFileSync(file, content, { mode })
  return file
}
const files = {
  caFile: kept('ca.pem', storage.caPem, 0o644),
  credentialFile: kept('credential.json', JSON.stringify(storage.credential)),
  writeCredentialFile: kept('credential-write.json', JSON.stringify(storage.writeCredential)),
  adminTokenFile: kept('sim-admin', storage.adminToken),
}
process.stdout.write(`${JSON.stringify({ system: 'zadara-object', url: storage.url, ...files })}\n`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => storage.stop().then(() => process.exit(0)))
}
