import { startCommvault } from './commvault/start.ts'
import { startConfluence } from './confluence/start.ts'
import { startForeman } from './foreman/start.ts'
import { startJira } from './jira/start.ts'
import { startKimai } from './kimai/start.ts'
import { type Ca, makeCa } from './lib/ca.ts'
import type { FaultPlan } from './lib/faults.ts'
import type { Truth } from './lib/truth.ts'
import { startNetbox } from './netbox/start.ts'
import { startPuppetdb } from './puppetdb/start.ts'
import { startVcenter } from './vcenter/start.ts'
import { startZabbix } from './zabbix/start.ts'
import { startObjectStorage } from './zadara-object/start.ts'
import { startVpsa } from './zadara-vpsa/start.ts'
import { startZammad } from './zammad/start.ts'

/** One running system, and what a connection to it is added with. */
export type RunningSystem = {
  readonly connector: string
  readonly name: string
  readonly config: Readonly<Record<string, unknown>>
  readonly credential: Readonly<Record<string, string>>
  readonly caPem: string
  /** Plans a fault for requests to come; answers what is wrong with the plan, if anything. */
  readonly fault: (plan: FaultPlan) => string | undefined
  readonly faults: { readonly planned: unknown[] }
  readonly stop: () => Promise<void>
}

type Started = Omit<RunningSystem, 'connector' | 'name' | 'credential'> & { readonly credential: object }
type Start = (options: { truth: Truth; ca: Ca }) => Promise<Started>

const systems: readonly (readonly [connector: string, name: string, start: Start])[] = [
  ['netbox', 'netbox', startRegistry],
  ['vcenter', 'vcenter', startVcenter],
  ['zabbix', 'zabbix', startZabbix],
  ['commvault', 'commvault', startCommvault],
  ['foreman', 'foreman', startForeman],
  ['puppetdb', 'puppetdb', startPuppetdb],
  ['zadara-vpsa', 'vpsa', startVpsa],
  ['zadara-object', 'objects', startObjectStorage],
  ['confluence', 'wiki', startConfluence],
  ['jira', 'jira', startJira],
  ['zammad', 'helpdesk', startZammad],
  ['kimai', 'timesheets', startKimai],
]

const day = 86_400_000

/**
 * All systems of one company, on free ports of loopback. `expiring` names connectors whose certificate ends in ten days; all
 * others have half a year. `onStart` is told each name before its system starts.
 */
export async function startCompany(
  truth: Truth,
  options: { readonly expiring?: readonly string[]; readonly onStart?: (name: string) => void } = {},
): Promise<RunningSystem[]> {
  const { expiring = [], onStart = () => {} } = options
  const running: RunningSystem[] = []
  try {
    for (const [connector, name, start] of systems) {
      onStart(name)
      const ca = lasting(makeCa(), expiring.includes(connector) ? 10 * day : 180 * day)
      const started = await start({ truth, ca })
      running.push({ ...started, connector, name, credential: started.credential as Record<string, string> })
    }
    return running
  } catch (error) {
    await Promise.all(running.map(({ stop }) => stop()))
    throw error
  }
}

/** The registry's read-only account. */
async function startRegistry(options: { truth: Truth; ca: Ca }): Promise<Started> {
  const { url, caPem, tokens, fault, faults, stop } = await startNetbox(options)
  return { config: { url }, credential: { token: tokens.readOnly }, caPem, fault, faults, stop }
}

function lasting(ca: Ca, ms: number): Ca {
  return { ...ca, issue: (options) => ca.issue({ notAfter: new Date(Date.now() + ms), ...options }) }
}
