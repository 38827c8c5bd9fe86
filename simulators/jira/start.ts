import type { Ca } from '../lib/ca.ts'
import { makeCompany } from '../lib/company.ts'
import { json, movableClock, type Reply, type SimRequest, startServer } from '../lib/server.ts'
import type { Truth } from '../lib/truth.ts'
import { authenticate, makeAccounts } from './accounts.ts'
import { jiraError, makeApi } from './api.ts'
import type { SimIssue } from './rows.ts'
import { makeStore } from './store.ts'
import { makeWebhook, type WebhookTarget } from './webhook.ts'

export type JiraOptions = {
  readonly truth?: Truth
  readonly port?: number
  readonly seed?: number
  readonly ca?: Ca
  readonly clock?: ReturnType<typeof movableClock>
  readonly deployment?: 'cloud' | 'datacenter'
  /** Of the accounts: JQL reads dates in it. */
  readonly timeZone?: string
  /** Whether an answer to a stranger says so in a header. */
  readonly tellsLoginReason?: boolean
}

export type JiraSimulator = Awaited<ReturnType<typeof startJira>>

/** Starts a simulated Jira on https://127.0.0.1:<port>, Cloud at the root or Data Center below /jira. */
export async function startJira(options: JiraOptions = {}) {
  const { truth = makeCompany(), seed = 1, clock = movableClock(), deployment = 'cloud', timeZone = 'UTC' } = options
  const isCloud = deployment === 'cloud'
  const basePath = isCloud ? '' : '/jira'
  const accounts = makeAccounts()
  const store = makeStore({ truth, seed, now: clock.now })
  const webhook = makeWebhook(clock.now)
  let origin = ''
  const api = makeApi({ store, isCloud, timeZone, origin: () => `${origin}${basePath}` })
  let isRevoked = false

  function handle(request: SimRequest): Reply {
    if (!request.path.startsWith(`${basePath}/`)) return jiraError(404, 'null for uri')
    if (request.fault === 'rate-limited')
      return jiraError(429, 'Rate limit exceeded.', {
        'retry-after': '0',
        'ratelimit-reason': 'jira-burst-based',
        'x-ratelimit-remaining': '0',
      })
    const account = isRevoked ? undefined : authenticate(accounts.all, request, isCloud)
    if (!account && !isCloud) return jiraError(401, 'You are not authenticated.')
    const reply = api(account, request, request.path.slice(basePath.length)) ?? jiraError(404, 'null for uri')
    const { tellsLoginReason = true } = options
    const reason = account ? 'OK' : 'AUTHENTICATED_FAILED'
    return {
      ...reply,
      headers: { ...reply.headers, ...((account || tellsLoginReason) && { 'x-seraph-loginreason': reason }) },
    }
  }

  const changes = {
    edit: (id: number, change: Partial<SimIssue> = {}) => told('jira:issue_updated', store.edit(id, change)),
    create: (issue: Pick<SimIssue, 'project' | 'summary'> & Partial<SimIssue>) =>
      told('jira:issue_created', store.create(issue)),
    remove: (id: number) => {
      const gone = store.remove(id)
      if (gone) told('jira:issue_deleted', gone)
    },
    /** From now on every credential is wrong, or right again. */
    revoke: (isOver = true) => {
      isRevoked = isOver
    },
    holdIndex: store.holdIndex,
    webhookTo: webhook.setTarget,
  }
  function told(event: 'jira:issue_created' | 'jira:issue_updated' | 'jira:issue_deleted', issue: SimIssue): SimIssue {
    // Failures are in `deliveries`.
    void webhook.notify(event, issue)
    return issue
  }

  /** `/__sim/edit|delete?key=` · `/__sim/create?project=&summary=` · `/__sim/revoke?off` · `/__sim/hold-index?off` · `/__sim/webhook` · `/__sim/deliveries` */
  function admin({ method, path, query, body }: SimRequest): Reply | undefined {
    if (path === '/__sim/deliveries') return json(200, webhook.deliveries)
    if (method !== 'POST') return undefined
    const issue = store.find(query.get('key') ?? '')
    if (path === '/__sim/hold-index') store.holdIndex(!query.has('off'))
    else if (path === '/__sim/revoke') changes.revoke(!query.has('off'))
    else if (path === '/__sim/webhook') webhook.setTarget(body === '' ? undefined : (JSON.parse(body) as WebhookTarget))
    else if (path === '/__sim/create')
      return json(200, {
        key: changes.create({ project: query.get('project') ?? 'OPS', summary: query.get('summary') ?? 'New' }).key,
      })
    else if (!issue) return json(400, { error: 'no such issue' })
    else if (path === '/__sim/edit') changes.edit(issue.id)
    else if (path === '/__sim/delete') changes.remove(issue.id)
    else return undefined
    return json(200, { ok: true })
  }

  const server = await startServer({
    clock,
    ownFaults: ['rate-limited'],
    handle,
    admin,
    ...(options.port !== undefined && { port: options.port }),
    ...(options.ca && { ca: options.ca }),
  })
  origin = server.origin
  const credentialOf = ({ email, token }: { email: string; token: string }): Record<string, string> =>
    isCloud ? { email, apiToken: token } : { personalAccessToken: token }
  return {
    url: `${origin}${basePath}`,
    caPem: server.caPem,
    config: { url: `${origin}${basePath}`, deployment, projects: 'OPS,NET' },
    credential: credentialOf(accounts.names.reader),
    writer: credentialOf(accounts.names.writer),
    /** Sees every security level. */
    administrator: credentialOf(accounts.names.admin),
    adminToken: server.adminToken,
    requests: server.requests,
    fault: server.faults.plan,
    faults: server.faults,
    forward: clock.forward,
    issues: store,
    ...changes,
    deliveries: webhook.deliveries,
    stop: server.stop,
  }
}
