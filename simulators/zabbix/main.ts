import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeCompany } from '../lib/company.ts'
import type { Mode } from './reads.ts'
import { startZabbix } from './start.ts'

const usage = `node simulators/zabbix/main.ts [options]
  --port N              0 (a free one)
  --devices N           288; --vms N 400
  --seed N              1
  --flaws N             0; machines with each planted flaw
  --zabbix-version V    6.0, 7.0 or 7.2; 7.0 unless told
  --ca-dir DIR          where ca.pem and the token files are written (a new folder)
Prints one JSON line when it is ready. SIGINT or SIGTERM ends it.`

const text = { type: 'string' } as const
const { values } = parseArgs({
  options: {
    port: text,
    devices: text,
    vms: text,
    seed: text,
    flaws: text,
    'zabbix-version': text,
    'ca-dir': text,
    help: { type: 'boolean' },
  },
})
if (values.help) {
  process.stdout.write(`${usage}\n`)
  process.exit(0)
}
const version = values['zabbix-version'] ?? '7.0'
if (!['6.0', '7.0', '7.2'].includes(version)) fail('--zabbix-version is 6.0, 7.0 or 7.2')

const zabbix = await startZabbix({
  truth: makeCompany({
    devices: whole('devices', 288),
    vms: whole('vms', 400),
    seed: whole('seed', 1),
    copies: whole('flaws', 0),
  }),
  port: whole('port', 0),
  version: version as Mode,
})

const folder = values['ca-dir'] ?? mkdtempSync(join(tmpdir(), 'zabbix-simulator-'))
mkdirSync(folder, { recursive: true })
const files = {
  caFile: kept('ca.pem', zabbix.caPem),
  tokenFile: kept('token', zabbix.credential.token),
  operatorTokenFile: kept('token-operator', zabbix.writer.token),
  passwordFile: kept('login.json', JSON.stringify(zabbix.login('reader'))),
  adminTokenFile: kept('sim-admin', zabbix.adminToken),
}
process.stdout.write(`${JSON.stringify({ system: 'zabbix', url: zabbix.url, ...files })}\n`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => zabbix.stop().then(() => process.exit(0)))
}

function whole(name: 'port' | 'devices' | 'vms' | 'seed' | 'flaws', otherwise: number): number {
  const given = values[name]
  if (given === undefined) return otherwise
  if (!/^\d{1,9}$/.test(given)) fail(`--${name} is not a number`)
  return Number(given)
}

function fail(why: string): never {
  process.stderr.write(`${why}\n\n${usage}\n`)
  process.exit(2)
}

function kept(name: string, content: string): string {
  const file = join(folder, name)
  const mode = name === 'ca.pem' ? 0o644 : 0o600
  writeFileSync(file, content, { mode })
  chmodSync(file, mode)
  return file
}
