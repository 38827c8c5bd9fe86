import { z } from 'zod'
import { connectionAction } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { call } from './rpc.ts'
import { Maintenance, MaintenanceCreated } from './schema.ts'

const minutes = 60_000
const shortest = 5 * minutes
const longest = 31 * 24 * 60 * minutes

const Time = z.iso.datetime({ offset: true })
const Line = z
  .string()
  .trim()
  .min(1)
  .regex(/^[^\p{Cc}]*$/u, 'must be one line')

/** Lines of text. Databases refuse NUL, and people are fooled by other control characters. */
export const PlainText = z
  .string()
  .trim()
  .regex(/^[\P{Cc}\n\r\t]*$/u, 'must hold no control characters')

type Wanted = {
  readonly name: string
  readonly since: number
  readonly till: number
  readonly hosts: readonly string[]
}

export const createMaintenance = connectionAction({
  name: 'zabbix.maintenance.create',
  title: 'Create a maintenance in Zabbix',
  description:
    'Plans one maintenance in Zabbix for named hosts, from one time until another (5 minutes to 31 days): their problems are suppressed meanwhile. It ends by itself. The name must be new; repeating the same call changes nothing.',
  access: 'write',
  http: { method: 'POST', path: '/zabbix/maintenances' },
  input: {
    name: Line.max(128).describe('Name of the maintenance, unique in Zabbix.'),
    hosts: z
      .array(z.string().regex(/^[1-9]\d{0,18}$/))
      .min(1)
      .max(100)
      .describe('Ids of the hosts in Zabbix (1 to 100).'),
    from: Time.describe('Begin, with time zone: 2026-12-01T20:00:00Z. Seconds are cut off.'),
    until: Time.describe('End, with time zone; 5 minutes to 31 days after the begin. Rounded up to a minute.'),
    collectData: z.boolean().default(true).describe('Whether Zabbix goes on collecting data from the hosts meanwhile.'),
    description: PlainText.max(2000).default('').describe('Why, for people.'),
  },
  output: z.object({ id: z.string(), created: z.boolean(), from: z.string(), until: z.string() }),
  async run({ name, hosts, from, until, collectData, description }, { http }) {
    const wanted = {
      name,
      hosts: [...new Set(hosts)],
      since: Math.floor(Date.parse(from) / minutes) * minutes,
      till: Math.ceil(Date.parse(until) / minutes) * minutes,
    }
    const length = wanted.till - wanted.since
    if (length < shortest || length > longest)
      throw new Problem('invalid-input', 'A maintenance lasts at least 5 minutes and at most 31 days.')
    const shown = { from: new Date(wanted.since).toISOString(), until: new Date(wanted.till).toISOString() }
    const existing = await find(http, wanted)
    if (existing !== undefined) return { id: existing, created: false, ...shown }
    return { id: await create(http, wanted, { collectData, description }), created: true, ...shown }
  },
})

type Http = Parameters<typeof call>[0]

/** The id of the same maintenance if it is there already. @throws Problem conflict when its name stands for another. */
async function find(http: Http, { name, since, till, hosts }: Wanted): Promise<string | undefined> {
  const params = {
    output: ['maintenanceid', 'active_since', 'active_till'],
    filter: { name: [name] },
    selectHosts: ['hostid'],
  }
  const [found] = await call(http, 'maintenance.get', params, z.array(Maintenance))
  if (!found) return undefined
  const has = new Set(found.hosts.map(({ hostid }) => hostid))
  const isSame =
    Date.parse(found.active_since) === since &&
    Date.parse(found.active_till) === till &&
    has.size === hosts.length &&
    hosts.every((id) => has.has(id))
  if (isSame) return found.maintenanceid
  throw new Problem('conflict', 'Zabbix has a maintenance of this name with another time or other hosts.')
}

async function create(
  http: Http,
  { name, since, till, hosts }: Wanted,
  { collectData, description }: { readonly collectData: boolean; readonly description: string },
): Promise<string> {
  const [start, end] = [since / 1000, till / 1000]
  const params = {
    name,
    description,
    maintenance_type: collectData ? 0 : 1,
    active_since: start,
    active_till: end,
    hosts: hosts.map((hostid) => ({ hostid })),
    timeperiods: [{ timeperiod_type: 0, start_date: start, period: end - start }],
  }
  const { maintenanceids } = await call(http, 'maintenance.create', params, MaintenanceCreated)
  return maintenanceids[0] as string
}
