import { z } from 'zod'
import { connectionAction } from '../../core/connector.ts'
import { observeHost } from './observe.ts'
import { listHosts } from './pages.ts'
import { type Host, HostDetail, Saved } from './schema.ts'
import { baseOf, quoted, searchTime } from './words.ts'

const Id = z
  .string()
  .regex(/^[1-9]\d{0,9}$/)
  .describe("The host's number in Foreman.")
/** Neither quotes nor the wildcards of Foreman's searches. */
const Words = z.string().regex(/^[\p{L}\p{N} ./:()+@-][\p{L}\p{N} ./:()+@_-]{0,99}$/u)

const HostView = z.object({
  id: z.string(),
  name: z.string(),
  status: z.string().optional(),
  site: z.string().optional(),
  addresses: z.array(z.string()).readonly().optional(),
  url: z.string().optional(),
  reportAt: z.string().nullable(),
  attributes: z.record(
    z.string(),
    z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string()).readonly()]),
  ),
})

const searchHosts = connectionAction({
  name: 'foreman.hosts.search',
  title: 'Search hosts in Foreman',
  description:
    'Asks Foreman itself, now, for hosts by name, status, host group, location, system or age of the last report. For a search over all systems use the inventory.',
  access: 'read',
  http: { method: 'GET', path: '/foreman/hosts' },
  input: {
    name: Words.optional().describe('Part of the name.'),
    hostgroup: Words.optional().describe('The exact title of the host group, for example base/web.'),
    location: Words.optional().describe('The exact title of the location.'),
    organization: Words.optional().describe('The exact title of the organization.'),
    domain: Words.optional().describe('The exact domain.'),
    operatingSystem: Words.optional().describe("Part of the operating system's title, for example Debian 12."),
    status: z.enum(['ok', 'warning', 'error']).optional().describe("Foreman's overall status of the host."),
    reportedBefore: z.iso
      .datetime({ offset: true })
      .optional()
      .describe('Only hosts whose last report is older than this time.'),
    limit: z.coerce.number().int().min(1).max(200).default(25).describe('How many at most (1 to 200).'),
    cursor: Id.optional().describe('`next` of the previous answer.'),
  },
  output: z.object({ items: z.array(HostView), next: z.string().nullable(), total: z.int() }),
  async run({ limit, cursor, ...filters }, { http, config }) {
    const page = await listHosts(http, { search: searchOf(filters), after: Number(cursor ?? 0), limit })
    const last = page.results.at(-1)
    return {
      items: page.results.map((host) => shown(host, baseOf(config))),
      next: last && page.subtotal > page.results.length ? String(last.id) : null,
      total: page.subtotal,
    }
  },
})

const getHost = connectionAction({
  name: 'foreman.host.get',
  title: 'Read one host from Foreman',
  description:
    'Reads one host from Foreman, now, with its network interfaces and comment. Parameters and provisioning tokens are never shown.',
  access: 'read',
  http: { method: 'GET', path: '/foreman/hosts/{id}' },
  input: { id: Id },
  output: HostView.extend({
    comment: z.string(),
    interfaces: z.array(
      z.object({
        name: z.string(),
        fqdn: z.string().optional(),
        mac: z.string().optional(),
        addresses: z.array(z.string()),
      }),
    ),
  }),
  async run({ id }, { http, config }) {
    const host = await http.get(`/api/hosts/${id}`, HostDetail)
    const interfaces = (host.interfaces ?? []).map(({ identifier, type, fqdn, mac, ip, ip6 }) => ({
      name: identifier || type || 'interface',
      ...(fqdn && { fqdn }),
      ...(mac && { mac }),
      addresses: [ip, ip6].filter((address) => typeof address === 'string' && address !== '') as string[],
    }))
    return { ...shown(host, baseOf(config)), comment: host.comment ?? '', interfaces }
  },
})

const commentHost = connectionAction({
  name: 'foreman.host.comment',
  title: "Set a host's comment in Foreman",
  description:
    'Replaces the comment of one host in Foreman and changes nothing else. Setting the comment that it has already writes nothing, so it may be repeated.',
  access: 'write',
  http: { method: 'POST', path: '/foreman/hosts/{id}/comment' },
  input: {
    id: Id,
    comment: z.string().trim().max(2000).describe('The whole new comment; empty removes it.'),
  },
  output: z.object({ id: z.string(), name: z.string(), previousComment: z.string(), changed: z.boolean() }),
  async run({ id, comment }, { http }) {
    const path = `/api/hosts/${id}`
    const host = await http.get(path, HostDetail)
    const previousComment = host.comment ?? ''
    const changed = previousComment !== comment
    if (changed) await http.send('PUT', path, Saved, { host: { comment } })
    return { id, name: host.name, previousComment, changed }
  },
})

export const actions = [searchHosts, getHost, commentHost] as const

type Filters = {
  readonly name?: string | undefined
  readonly hostgroup?: string | undefined
  readonly location?: string | undefined
  readonly organization?: string | undefined
  readonly domain?: string | undefined
  readonly operatingSystem?: string | undefined
  readonly status?: string | undefined
  readonly reportedBefore?: string | undefined
}

/** Only fields named here: a free search could ask for parameters and so find out their values. */
function searchOf(filters: Filters): string {
  const { name, hostgroup, location, organization, domain, operatingSystem, status, reportedBefore } = filters
  const terms: readonly (readonly [string, string | undefined])[] = [
    ['name ~', name && quoted(name)],
    ['hostgroup_title =', hostgroup && quoted(hostgroup)],
    ['location =', location && quoted(location)],
    ['organization =', organization && quoted(organization)],
    ['domain =', domain && quoted(domain)],
    ['os_title ~', operatingSystem && quoted(operatingSystem)],
    ['global_status =', status],
    ['last_report <', reportedBefore && searchTime(new Date(reportedBefore))],
  ]
  return terms.flatMap(([term, value]) => (value ? [`${term} ${value}`] : [])).join(' and ')
}

function shown(host: Host, base: string) {
  const { externalId, facts, machine: _, kind: __, relations: ___, serial: ____, ...rest } = observeHost(host, base)
  return { ...rest, id: externalId, reportAt: facts?.reportAt ?? null }
}
