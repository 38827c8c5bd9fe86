import { json, type Reply, type SimRequest } from '../lib/server.ts'
import type { Accounts } from './accounts.ts'
import { type Job, type JobBook, type Json, subclientIdOf } from './jobs.ts'
import type { makeLists } from './lists.ts'
import type { Machines } from './machines.ts'

type Parts = {
  readonly machines: Machines
  readonly jobs: JobBook
  readonly lists: ReturnType<typeof makeLists>
  readonly accounts: Accounts
  readonly now: () => Date
  readonly release: string
  /** Which end of the list comes first; the meaning of `sortDirection` is not documented. */
  readonly order: { oldestFirst: boolean }
}

const base = /^\/(?:commandcenter|webconsole)\/api\//i
const denied = { errorMessage: 'Access denied', errorCode: 5 }

/** Commvault's REST API. Paths are case-insensitive, as on its IIS; the answer is XML unless JSON is asked for. */
export function makeApi(parts: Parts) {
  return function handle(request: SimRequest): Reply {
    const reply = route(parts, request)
    if (request.fault === 'empty-body') return { status: 200, body: '' }
    if (/application\/json/.test(request.headers.accept ?? '') || reply.status >= 400) return reply
    return {
      ...reply,
      headers: { 'content-type': 'application/xml' },
      body: '<?xml version="1.0" encoding="UTF-8" standalone="no" ?><App_GenericResponse errorCode="0"/>',
    }
  }
}

function route(parts: Parts, request: SimRequest): Reply {
  const { method, path, headers, fault } = request
  const { accounts } = parts
  if (!base.test(path)) return { status: 404, headers: { 'content-type': 'text/html' }, body: '<html>Not Found</html>' }
  const place = path.replace(base, '').toLowerCase()
  if (method === 'POST' && place === 'login') {
    if (fault === 'no-token') return json(200, { errList: [] })
    const { username, password } = bodyOf(request)
    return json(200, accounts.login(username, password))
  }
  if (method === 'POST' && place === 'v4/accesstoken/renew') return renew(parts, request)
  const account = accounts.accountOf(textOf(headers['authtoken']), headers.authorization)
  if (!account) return json(401, denied)
  if (fault === 'denied') return json(200, denied)
  if (fault === 'failed')
    return json(200, { error: { errorCode: 587204, errorMessage: 'cs01.corp.example.net failed' } })
  if (method === 'GET') return read(parts, place, request)
  if (place === 'jobs') return list(parts, request)
  if (place === 'logout') return json(200, { loggedOut: accounts.logout(textOf(headers['authtoken']) ?? '') })
  if (!account.mayWrite) return json(200, denied)
  return write(parts, place, request)
}

function renew({ accounts }: Parts, request: SimRequest): Reply {
  const { accessToken, refreshToken } = bodyOf(request)
  const pair = accounts.renew(accessToken, refreshToken)
  if (!pair) return json(401, { errorMessage: 'Invalid access token or refresh token', errorCode: 5 })
  return json(200, {
    error: { errorCode: 0 },
    tokenInfo: {
      accessTokenId: 9,
      tokenName: 'atlas',
      accessToken: pair.access,
      refreshToken: pair.refresh,
      tokenExpiryTimestamp: Math.floor(pair.accessEnds / 1000),
      refreshTokenExpiryTimestamp: Math.floor(pair.refreshEnds / 1000),
    },
  })
}

function read({ lists, jobs, release }: Parts, place: string, { query, headers, fault }: SimRequest): Reply {
  if (place === 'commserv')
    return json(200, {
      commcell: { commCellName: 'cs01', commCellId: 2, csGUID: 'C0FFEE00-0000-4000-8000-000000000002' },
      hostName: 'cs01.example.net',
      csVersionInfo: `11.${release}.2`,
      currentSPVersion: release,
    })
  if (place === 'client' && query.get('PseudoClientType') === 'VSPseudo')
    return json(200, { VSPseudoClientsList: lists.hypervisors() })
  if (place === 'client') {
    const clientProperties = lists.clients()
    return { ...json(200, { clientProperties }), items: clientProperties.length }
  }
  if (place === 'storagepool') return json(200, { storagePoolList: lists.pools() })
  if (place === 'vm') {
    const [page = 0, size = lists.vmCount] = (textOf(headers['paginginfo']) ?? '')
      .split(',')
      .filter(Boolean)
      .map(Number)
    const vmStatusInfoList = fault === 'lost-rows' ? [] : lists.vms(fault === 'same-page' ? 0 : page * size, size)
    return {
      ...json(200, { totalRecords: lists.vmCount, pageNo: page, pageSize: size, vmStatusInfoList }),
      items: vmStatusInfoList.length,
    }
  }
  const id = /^job\/(\d+)$/.exec(place)?.[1]
  const job = id === undefined || fault === 'empty-job' ? undefined : jobs.find(Number(id))
  if (id === undefined) return json(404, { errorMessage: 'No such operation', errorCode: 2 })
  if (!job) return json(200, { totalRecordsWithoutPaging: 0 })
  const seen = jobs.json(job)
  jobs.advance(job)
  return json(200, { totalRecordsWithoutPaging: 1, jobs: [{ jobSummary: seen }] })
}

function list({ jobs, now, order }: Parts, request: SimRequest): Reply {
  const body = bodyOf(request)
  const paging = (body['pagingConfig'] ?? {}) as { offset?: number; limit?: number }
  const filter = (body['jobFilter'] ?? {}) as { completedJobLookupTime?: number; clientList?: { clientId: number }[] }
  const { limit = 20 } = paging
  const offset = request.fault === 'same-page' ? 0 : (paging.offset ?? 0)
  const since = Math.floor(now().getTime() / 1000) - (filter.completedJobLookupTime ?? 31_536_000)
  const clientIds = (filter.clientList ?? []).map(({ clientId }) => clientId)
  const page: Json[] = []
  let total = 0
  const found = jobs.all({ since, category: Number(body['category'] ?? 0), clientIds })
  for (const job of order.oldestFirst ? [...found].reverse() : found) {
    if (total >= offset && total < offset + limit) page.push({ jobSummary: jobs.json(job) })
    total++
  }
  if (request.fault === 'lost-rows') page.splice(0)
  return { ...json(200, { totalRecordsWithoutPaging: total, jobs: page }), items: page.length }
}

const levels: Readonly<Record<string, string>> = {
  incremental: 'Incremental',
  differential: 'Differential',
  full: 'Full',
}

function write(parts: Parts, place: string, { query }: SimRequest): Reply {
  const { machines, jobs } = parts
  const level = levels[(query.get('backupLevel') ?? 'Incremental').toLowerCase()]
  const [, subclient] = /^subclient\/(\d+)\/action\/backup$/.exec(place) ?? []
  const [, guid] = /^v2\/vsa\/vm\/([0-9a-f-]{36})\/backup$/.exec(place) ?? []
  const [, killed] = /^job\/(\d+)\/action\/kill$/.exec(place) ?? []
  if (killed !== undefined) return kill(jobs, jobs.find(Number(killed)))
  if (level === undefined) return json(200, { errorCode: 2, errorMessage: 'Invalid backup level' })
  for (let at = 0; at < machines.count; at++) {
    const { isVm, site, guid: own } = machines.machine(at)
    const isGroup = subclient !== undefined && isVm && String(subclientIdOf(at, true, site)) === subclient
    const isOwn = isVm ? own === guid : String(subclientIdOf(at, false, site)) === subclient
    if (!isGroup && !isOwn) continue
    const job = jobs.add({ place: isGroup ? undefined : at, site, level, status: 'Queued' })
    return json(200, { taskId: job.id % 10_000, jobIds: [String(job.id)] })
  }
  return json(200, { errorCode: 587205, errorMessage: 'No such subclient' })
}

function kill(jobs: JobBook, job: Job | undefined): Reply {
  const isRunning = job !== undefined && job.end === 0
  if (isRunning) jobs.end(job, 'Killed')
  const errorCode = isRunning ? 0 : 2
  return json(200, {
    errors: [{ errList: [{ errorCode, errLogMessage: isRunning ? '' : 'The job is not running.' }] }],
  })
}

function bodyOf({ body }: SimRequest): Json {
  try {
    return JSON.parse(body) as Json
  } catch {
    return {}
  }
}

function textOf(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value
}
