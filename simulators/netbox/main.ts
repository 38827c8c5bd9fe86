import { chmodSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startNetbox } from './start.ts'

const usage = `node simulators/netbox/main.ts [options]
  --port N            0 (a free one)
  --devices N         1000; --vms N as many
  --seed N            1
  --data FILE         collections from a file instead of the invented estate
  --ca-dir DIR        where ca.pem and the token files are written (a new folder)
  --token-file FILE   use the NetBox token in this file instead of a random one
  --changelog-days N  90; 0 keeps all
  --netbox-version V  4.6.8
Prints one JSON line when it is ready. SIGINT or SIGTERM ends it.`

const number = { type: 'string' } as const
const { values } = parseArgs({
  options: {
    port: number,
    devices: number,
    vms: number,
    seed: number,
    'changelog-days': number,
    data: { type: 'string' },
    'ca-dir': { type: 'string' },
    token: { type: 'string' },
    'token-file': { type: 'string' },
    'netbox-version': { type: 'string' },
    help: { type: 'boolean' },
  },
})
if (values.help) {
  process.stdout.write(`${usage}\n`)
  process.exit(0)
}

const folder = values['ca-dir'] ?? mkdtempSync(join(tmpdir(), 'netbox-simulator-'))
mkdirSync(folder, { recursive: true })
const givenToken = values['token-file'] === undefined ? values.token : readFileSync(values['token-file'], 'utf8').trim()
const netbox = await startNetbox({
  ...whole('port'),
  ...whole('devices'),
  ...whole('vms'),
  ...whole('seed'),
  ...(values['changelog-days'] !== undefined && { changelogDays: Number(values['changelog-days']) }),
  ...(values['netbox-version'] !== undefined && { version: values['netbox-version'] }),
  ...(values.data !== undefined && { data: values.data }),
  ...(givenToken !== undefined && { token: givenToken }),
})

const files = {
  caFile: kept('ca.pem', netbox.caPem),
  tokenFile: kept('token', netbox.tokens.v2),
  tokenV1File: kept('token-v1', netbox.tokens.v1),
  readOnlyTokenFile: kept('token-read-only', netbox.tokens.readOnly),
  adminTokenFile: kept('sim-admin', netbox.adminToken),
}
process.stdout.write(`${JSON.stringify({ system: 'netbox', url: netbox.url, ...files })}\n`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => netbox.stop().then(() => process.exit(0)))
}

function whole<const K extends 'port' | 'devices' | 'vms' | 'seed'>(name: K): Partial<Record<K, number>> {
  const text = values[name]
  if (text === undefined) return {}
  if (!/^\d{1,9}$/.test(text)) {
    process.stderr.write(`--${name} is not a number\n\n${usage}\n`)
    process.exit(2)
  }
  return { [name]: Number(text) } as Partial<Record<K, number>>
}

function kept(name: string, content: string): string {
  const file = join(folder, name)
  writeFileSync(file, content, { mode: name === 'ca.pem' ? 0o644 : 0o600 })
  chmodSync(file, name === 'ca.pem' ? 0o644 : 0o600)
  return file
}
