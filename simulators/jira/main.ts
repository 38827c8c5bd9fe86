import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeCompany } from '../lib/company.ts'
import { startJira } from './start.ts'

const usage = `node simulators/jira/main.ts [options]
  --port N             0 (a free one)
  --devices N --vms N  288 and 400
  --seed N             1
  --flaws N            how often each flaw is planted; 0
  --deployment D       cloud or datacenter
  --dir DIR            where ca.pem and the credential files are written (a new folder)
Prints one JSON line when it is ready. SIGINT or SIGTERM ends it.`

const text = { type: 'string' } as const
const { values } = parseArgs({
  options: {
    port: text,
    devices: text,
    vms: text,
    seed: text,
    flaws: text,
    deployment: text,
    dir: text,
    help: { type: 'boolean' },
  },
})
if (values.help) {
  process.stdout.write(`${usage}\n`)
  process.exit(0)
}

const folder = values.dir ?? mkdtempSync(join(tmpdir(), 'jira-simulator-'))
const seed = whole('seed', 1)
const truth = makeCompany({ seed, devices: whole('devices', 288), vms: whole('vms', 400), copies: whole('flaws', 0) })
const deployment = values.deployment === 'datacenter' ? 'datacenter' : 'cloud'
const jira = await startJira({ truth, seed, deployment, port: whole('port', 0) })
process.stdout.write(
  `${JSON.stringify({
    system: 'jira',
    config: jira.config,
    caFile: kept('ca.pem', jira.caPem),
    credentialFile: kept('credential.json', JSON.stringify(jira.credential)),
    writerCredentialFile: kept('credential-writer.json', JSON.stringify(jira.writer)),
    adminTokenFile: kept('sim-admin', jira.adminToken),
  })}\n`,
)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => jira.stop().then(() => process.exit(0)))
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
