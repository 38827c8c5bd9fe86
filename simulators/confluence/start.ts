import type { Ca } from '../lib/ca.ts'
import { makeCompany } from '../lib/company.ts'
import { json, movableClock, type Reply, type SimRequest, startServer } from '../lib/server.ts'
import type { Truth } from '../lib/truth.ts'
import { authenticate, makeAccounts } from './accounts.ts'
import { people, type SimPage } from './rows.ts'
import { makeStore } from './store.ts'
import { makeV1, v1Error } from './v1.ts'
import { makeV2 } from './v2.ts'
import { makeWebhook, type WebhookTarget } from './webhook.ts'

export type ConfluenceOptions = {
  readonly truth?: Truth
  readonly port?: number
  readonly seed?: number
  readonly ca?: Ca
  readonly clock?: ReturnType<typeof movableClock>
  readonly deployment?: 'cloud' | 'datacenter'
  /** Of the accounts: CQL reads dates in it. */
  readonly utcOffsetHours?: number
  readonly searchCap?: number
}

export type Confluence = Awaited<ReturnType<typeof startConfluence>>

/** Starts a simulated Confluence on https://127.0.0.1:<port>, Cloud below /wiki or Data Center below /confluence. */
export async function startConfluence(options: ConfluenceOptions = {}) {
  const { truth = makeCompany(), seed = 1, clock = movableClock(), deployment = 'cloud' } = options
  const isCloud = deployment === 'cloud'
  const basePath = isCloud ? '/wiki' : '/confluence'
  const accounts = makeAccounts()
  const store = makeStore({ truth, seed, now: clock.now })
  const webhook = makeWebhook(clock.now)
  const { utcOffsetHours = 0, searchCap = 50 } = options
  const v1 = makeV1({ store, now: clock.now, isCloud, utcOffsetHours, searchCap, version: '9.2.1' })
  const v2 = makeV2({ store })
  const denied = new Set<string>()

  function handle(request: SimRequest): Reply {
    const path = request.path.startsWith(`${basePath}/`) ? request.path.slice(basePath.length) : ''
    if (path === '') return json(404, { message: 'null for uri' })
    if ([...denied].some((one) => path.startsWith(one))) return v1Error(403, 'Not permitted to use confluence')
    const account = authenticate(accounts.all, request, isCloud)
    // A site open to everyone takes a wrong credential for none.
    if (!account && request.fault !== 'anonymous') return v1Error(401, 'Unauthorized')
    const reply = (isCloud ? v2(account, request, path) : undefined) ?? v1(account, request, path)
    const limits = { 'x-ratelimit-limit': '1000', 'x-ratelimit-remaining': '999' }
    return reply ? { ...reply, headers: { ...limits, ...reply.headers } } : v1Error(404, 'null for uri')
  }

  const changes = {
    /** A new version, as if someone had edited the page. */
    edit: (id: number, change: Partial<SimPage> = {}) => told('page_updated', store.edit(id, change)),
    create: (page: Pick<SimPage, 'space' | 'title' | 'storage'> & Partial<SimPage>) =>
      told('page_created', store.create(page, people[0])),
    /** Restrictions, labels, the trash, a move: no new version. */
    touch: (id: number, change: Partial<SimPage>) => told('page_updated', store.touch(id, change)),
    trash: (id: number) => told('page_trashed', store.touch(id, { status: 'trashed' })),
    purge: store.purge,
    holdIndex: store.holdIndex,
    deny: (path: string, isDenied = true) => void (isDenied ? denied.add(path) : denied.delete(path)),
    webhookTo: webhook.setTarget,
  }
  function told(event: 'page_created' | 'page_updated' | 'page_trashed', page: SimPage): SimPage {
    // Failures are in `deliveries`.
    void webhook.notify(event, page)
    return page
  }

  /** `/__sim/edit|trash|purge?id=` · `/__sim/create?space=&title=` · `/__sim/restrict?id=&group=` · `/__sim/hold-index?off` · `/__sim/webhook` · `/__sim/deliveries` */
  function admin({ method, path, query, body }: SimRequest): Reply | undefined {
    if (path === '/__sim/deliveries') return json(200, webhook.deliveries)
    if (method !== 'POST') return undefined
    const id = Number(query.get('id'))
    const group = query.get('group')
    if (path === '/__sim/hold-index') store.holdIndex(!query.has('off'))
    else if (path === '/__sim/webhook') webhook.setTarget(body === '' ? undefined : (JSON.parse(body) as WebhookTarget))
    else if (path === '/__sim/create') {
      const space = store.spaceOf(query.get('space') ?? 'OPS')?.key ?? 'OPS'
      return json(200, { id: changes.create({ space, title: query.get('title') ?? 'New', storage: '<p>New.</p>' }).id })
    } else if (!store.page(id)) return json(400, { error: 'no such page' })
    else if (path === '/__sim/edit') changes.edit(id)
    else if (path === '/__sim/trash') changes.trash(id)
    else if (path === '/__sim/purge') changes.purge(id)
    else if (path === '/__sim/restrict') store.touch(id, { readers: [group ?? 'security'] })
    else return undefined
    return json(200, { ok: true })
  }

  const server = await startServer({
    clock,
    ownFaults: ['anonymous'],
    handle,
    admin,
    ...(options.port !== undefined && { port: options.port }),
    ...(options.ca && { ca: options.ca }),
  })
  const credentialOf = ({ email, token }: { email: string; token: string }): Record<string, string> =>
    isCloud ? { email, apiToken: token } : { personalAccessToken: token }
  return {
    url: `${server.origin}${basePath}`,
    caPem: server.caPem,
    config: { url: `${server.origin}${basePath}`, deployment, spaces: 'OPS,KB' },
    credential: credentialOf(accounts.names.reader),
    writer: credentialOf(accounts.names.writer),
    /** Sees restricted pages too. */
    administrator: credentialOf(accounts.names.admin),
    adminToken: server.adminToken,
    requests: server.requests,
    fault: server.faults.plan,
    faults: server.faults,
    forward: clock.forward,
    pages: store,
    ...changes,
    deliveries: webhook.deliveries,
    stop: server.stop,
  }
}
