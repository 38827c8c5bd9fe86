import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeCompany } from '../lib/company.ts'
import { startVcenter } from './start.ts'

const usage = `node simulators/vcenter/main.ts [options]
  --port N           0 (a free one)
  --devices N        288; --vms N 400
  --seed N           1
  --flaws N          0: how many of each flaw the company has
  --event-days N     365: how long events are kept
  --dir DIR          where ca.pem and the passwords are written (a new folder)
Prints one JSON line when it is ready. SIGINT or SIGTERM ends it.`

const text = { type: 'string' } as const
const { values } = parseArgs({
  options: {
    port: text,
    devices: text,
    vms: text,
    seed: text,
    flaws: text,
    'event-days': text,
    dir: text,
    help: { type: 'boolean' },
  },
})
if (values.help) {
  process.stdout.write(`${usage}\n`)
  process.exit(0)
}

const [port, devices, vms, seed, copies, eventDays] = (
  ['port', 'devices', 'vms', 'seed', 'flaws', 'event-days'] as const
).map(whole)
const truth = makeCompany({
  ...(devices !== undefined && { devices }),
  ...(vms !== undefined && { vms }),
  ...(seed !== undefined && { seed }),
  ...(copies !== undefined && { copies }),
})
const vcenter = await startVcenter({
  truth,
  ...(port !== undefined && { port }),
  ...(eventDays !== undefined && { eventDays }),
})

const folder = values.dir ?? mkdtempSync(join(tmpdir(), 'vcenter-simulator-'))
mkdirSync(folder, { recursive: true })
const { url, credential, operator } = vcenter
const ready = {
  system: 'vcenter',
  url,
  caFile: kept('ca.pem', vcenter.caPem),
  username: credential.username,
  passwordFile: kept('password', credential.password),
  operator: operator.username,
  operatorPasswordFile: kept('operator-password', operator.password),
  adminTokenFile: kept('sim-admin', vcenter.adminToken),
}
process.stdout.write(`${JSON.stringify(ready)}\n`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => vcenter.stop().then(() => process.exit(0)))
}

function whole(name: 'port' | 'devices' | 'vms' | 'seed' | 'flaws' | 'event-days'): number | undefined {
  const value = values[name]
  if (value === undefined) return undefined
  if (!/^\d{1,9}$/.test(value)) {
    process.stderr.write(`--${name} is not a number\n\n${usage}\n`)
    process.exit(2)
  }
  return Number(value)
}

function kept(name: string, content: string): string {
  const file = join(folder, name)
  const mode = name === 'ca.pem' ? 0o644 : 0o600
  writeFileSync(file, content, { mode })
  chmodSync(file, mode)
  return file
}
