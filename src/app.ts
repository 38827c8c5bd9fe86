import { setTimeout as sleep } from 'node:timers/promises'
import { openBackups } from './backup.ts'
import type { Config } from './config.ts'
import { sinksOf } from './config-sinks.ts'
import { connectors } from './connectors/index.ts'
import type { Action, Context, Resource } from './core/action.ts'
import type { Subject } from './core/connector.ts'
import { Problem } from './core/problem.ts'
import { makeHttpDoor } from './doors/http/door.ts'
import { makeMcpDoor } from './doors/mcp/door.ts'
import { makeSchedule } from './doors/schedule/schedule.ts'
import { openExports } from './exporting.ts'
import { approvalActions } from './features/approvals/actions.ts'
import { makeApprovals } from './features/approvals/approvals.ts'
import { approvalTtlMs } from './features/approvals/hash-input.ts'
import { approvalsMigrations } from './features/approvals/migrations.ts'
import { auditActions } from './features/audit/actions.ts'
import type { AuditEvent } from './features/audit/event.ts'
import { type AuditLog, openLog } from './features/audit/log.ts'
import { auditMigrations } from './features/audit/migrations.ts'
import type { Keep } from './features/audit/retention-policy.ts'
import { backupActions } from './features/backups/actions.ts'
import type { Backups } from './features/backups/backups.ts'
import { backupsMigrations } from './features/backups/migrations.ts'
import { connectionActions } from './features/connections/actions.ts'
import { makeConnections } from './features/connections/connections.ts'
import { connectionsMigrations } from './features/connections/migrations.ts'
import { exportActions } from './features/exports/actions.ts'
import type { Exports } from './features/exports/exports.ts'
import { exportsMigrations } from './features/exports/migrations.ts'
import { identityActions } from './features/identity/actions.ts'
import { type Identity, type IdentityParts, makeIdentity } from './features/identity/identity.ts'
import { identityMigrations } from './features/identity/migrations.ts'
import { inventoryActions } from './features/inventory/actions.ts'
import { briefActions } from './features/inventory/brief.ts'
import { findingActions } from './features/inventory/findings/actions.ts'
import { type Findings, makeFindings } from './features/inventory/findings/findings.ts'
import { makeInventory } from './features/inventory/inventory.ts'
import { inventoryMigrations } from './features/inventory/migrations.ts'
import { rateLimitHeaders } from './features/limits/headers.ts'
import { makeLimiter } from './features/limits/limiter.ts'
import { makeLoginThrottle } from './features/limits/login.ts'
import { subnetOf } from './features/limits/network.ts'
import { policyActions } from './features/policy/actions.ts'
import { isInScopes } from './features/policy/decide.ts'
import { policyMigrations } from './features/policy/migrations.ts'
import { makePolicy } from './features/policy/policy.ts'
import { usageActions } from './features/usage/actions.ts'
import { usageMigrations } from './features/usage/migrations.ts'
import { makeUsage, type Usage } from './features/usage/usage.ts'
import { vaultActions } from './features/vault/actions.ts'
import type { Rekeyed } from './features/vault/key-actions.ts'
import { checkRootKey } from './features/vault/keyring.ts'
import { vaultMigrations } from './features/vault/migrations.ts'
import { makeVault } from './features/vault/vault.ts'
import { makeCatalog, makeVisible } from './gate/catalog.ts'
import { makeCheck } from './gate/check.ts'
import { makeInvoke, type Resolved } from './gate/invoke.ts'
import type { Database } from './lib/db/database.ts'
import { migrate } from './lib/db/migrate.ts'
import { makeHttp } from './lib/http-client.ts'
import type { Log } from './lib/log.ts'
import { type RootKey, ringOf } from './lib/root-keys.ts'
import { makeMetrics } from './metrics.ts'
import { openReferences } from './referencing.ts'
import { imageSource } from './storage.ts'
import { makeReceiver, makeRefusalRecords } from './strangers.ts'

export const migrations = [
  ...auditMigrations,
  ...vaultMigrations,
  ...identityMigrations,
  ...policyMigrations,
  ...approvalsMigrations,
  ...inventoryMigrations,
  ...connectionsMigrations,
  ...exportsMigrations,
  ...usageMigrations,
  ...backupsMigrations,
]

type Parts = {
  readonly config: Config
  readonly database: Database
  readonly rootKey: RootKey
  /** Makes what changes the root key; without it this server cannot. */
  readonly makeRekey?: (log: AuditLog) => () => Promise<Rekeyed>
  readonly tls?: { readonly cert: string; readonly key: string }
  readonly makeLog: (redact: (value: unknown) => unknown) => Log
  /** Takes out the secrets of the configuration; those of the vault are the vault's matter. */
  readonly redact: (value: unknown) => unknown
  readonly version: string
  readonly now: () => Date
}

export type App = Awaited<ReturnType<typeof makeApp>>

/** Puts the rooms together. The only file that knows all of them; nothing here decides anything. */
export async function makeApp(parts: Parts) {
  const rooms = await openRooms(parts)
  await rooms.exports.init()
  await rooms.backups.recover()
  return { ...rooms, ...openDoors(parts, rooms) }
}

function openVault(
  { config, database, rootKey, now }: Parts,
  metrics: ReturnType<typeof makeMetrics>,
  record: (event: AuditEvent) => Promise<unknown> | undefined,
) {
  const references = openReferences(config, now)
  const vault = makeVault({
    database,
    rootKey,
    now,
    references,
    onIntegrityFailure: async (id) => {
      metrics.integrityFailed()
      await record({ code: 'vault.integrity-failed', resource: { type: 'secret', id } })
    },
    onReferenceFailure: async (id, detail) => {
      await record({ code: 'vault.reference-failed', resource: { type: 'secret', id }, detail: { detail } })
    },
  })
  return { vault, references }
}

/** Free text of callers can be a secret that was typed into the wrong field; the log never forgets. */
function withoutSecrets(event: AuditEvent, redact: (value: unknown) => unknown): AuditEvent {
  const { resource, detail } = redact({ resource: event.resource, detail: event.detail }) as AuditEvent
  return { ...event, ...(resource && { resource }), ...(detail && { detail }) }
}

type Open = Awaited<ReturnType<typeof openRooms>>

/** The rooms, the actions that they offer, and the gate in front. */
async function openRooms(parts: Parts) {
  const { config, database, rootKey, now } = parts
  // Under another root key this refuses before anything is written.
  await checkRootKey(database, rootKey)
  await migrate(database, migrations, now)
  let audit: AuditLog | undefined
  const metrics = makeMetrics({ version: parts.version, token: config.ATLAS_METRICS_TOKEN })
  const { vault, references } = openVault(parts, metrics, (event) => audit?.append(event))
  await vault.init()
  const redact = (value: unknown) => vault.redact(parts.redact(value))
  const log = parts.makeLog(redact)
  audit = await openAudit(parts, log)
  const record = (event: AuditEvent) => audit.append(withoutSecrets(event, redact))
  const { recordRefusal, recordFailure, recordDelivery, settle } = makeRefusalRecords({ record, now, log })
  const policy = makePolicy({ database, now, onFault: (error) => log.error({ err: error }, 'a decision failed') })
  const approvals = openApprovals(parts, vault)
  const limiter = makeLimiter({ rpm: config.ATLAS_RATE_LIMIT_RPM, now })
  const { inventory, connections } = openSystems(parts, vault, log, record)
  const identity = openIdentity(parts, limiter, record, recordFailure, {
    resolveConnection: connections.resolve,
    isKnownScope: (scope) => actions.some((action) => isInScopes([scope], action)),
  })

  const usage = makeUsage({ database, now, record, isSession: identity.tokens.isSession, subnetOf, log })
  const findings = openFindings(parts, inventory, connections)
  const system = await identity.ensureSystem({ name: 'schedule', role: 'operator' })
  const exports = openExports({
    ...{ database, inventory, findings, connections, policy, approvals, redact, now, log },
    dataDir: config.ATLAS_DATA_DIR,
    findPrincipal: identity.findPrincipal,
    late: () => ({ actions, invoke, system }),
  })
  const source = () => imageSource(config, ringOf(rootKey).current())
  const backups = openBackups({ ...parts, source, log: audit, record, report: log })
  const own = { vault, identity, usage, policy, approvals, audit, exports, backups }
  const actions = listActions({ inventory, findings, connections, rekey: parts.makeRekey?.(audit), ...own })
  await policy.load(actions)
  await connections.refreshWritable()
  const gate = openGate({ actions, policy, approvals, limiter, usage, connections, redact, record, recordRefusal, log })
  const invoke = metrics.counted(gate.invoke, gate.catalog)
  const records = { record, recordDelivery, settle, redact }
  const systems = { inventory, findings, connections, references }
  return { ...gate, invoke, metrics, ...own, limiter, ...records, ...systems, system, actions, log }
}

/** The ways in. */
function openDoors(parts: Parts, rooms: Open) {
  const { audit, identity, limiter, connections, exports, backups, actions, invoke, visible, check, record, log } =
    rooms
  const { redact } = rooms
  const mcp = makeMcpDoor({ actions, invoke, visible, limit: limiter.take, redact, version: parts.version, log })
  const http = makeHttpDoor({
    actions,
    invoke,
    check,
    authenticate: identity.authenticate,
    unauthenticatedLimit: (address) => void limiter.takeNetwork(address),
    login: identity.login,
    setup: identity.completeSetup,
    audit: { checkpoint: () => audit.checkpoint(), tile: (path) => audit.tile(`tile/${path}`), vkey: audit.vkey },
    receive: makeReceiver(connections, record, rooms.recordDelivery),
    exportFile: exports.openFile,
    backupFile: backups.openFile,
    metrics: { render: () => rooms.metrics.render(rooms), tokenHash: rooms.metrics.tokenHash },
    health: { ready: () => readiness(parts.database) },
    rateLimitHeaders,
    mcp: mcp.fetch,
    config: httpConfig(parts),
    log,
    version: parts.version,
  })
  const due = {
    connections: connections.syncs,
    exports: { due: exports.plans.due, sweep: exports.sweep },
    backups,
    retention: rooms.audit.retention,
  }
  const schedule = makeSchedule({ ...due, invoke, systemPrincipal: rooms.system, log })
  return { http, mcp, schedule }
}

/** How long the audit log keeps what. */
function keepOf({ ATLAS_AUDIT_RETENTION: entries, ATLAS_AUDIT_DETAIL_RETENTION: details }: Config): Keep {
  return { ...details, ...(entries !== undefined && { entries }) }
}

function openAudit({ config, database, rootKey, now }: Parts, log: Log): Promise<AuditLog> {
  const origin = config.ATLAS_AUDIT_ORIGIN
  return openLog({
    database,
    rootKey,
    now,
    ...(origin !== undefined && { origin }),
    ...(config.ATLAS_AUDIT_POLICY && { policy: config.ATLAS_AUDIT_POLICY }),
    sinks: sinksOf(config),
    keep: keepOf(config),
    onFatal: (error) => log.error({ err: error }, 'the audit log stopped'),
    onFault: (error) => log.warn({ err: error }, 'something beside the audit log failed and is tried again'),
  })
}

type Acting = {
  readonly inventory: ReturnType<typeof makeInventory>
  readonly findings: Findings
  readonly connections: ReturnType<typeof makeConnections>
  readonly vault: ReturnType<typeof makeVault>
  readonly rekey: (() => Promise<Rekeyed>) | undefined
  readonly identity: Identity
  readonly usage: Usage
  readonly policy: ReturnType<typeof makePolicy>
  readonly approvals: ReturnType<typeof makeApprovals>
  readonly audit: AuditLog
  readonly exports: Exports
  readonly backups: Backups
}

function listActions(rooms: Acting): readonly Action[] {
  const { inventory, findings, connections, vault, rekey, identity, usage, policy, approvals, audit } = rooms
  const { exports, backups } = rooms
  const secrets = vaultActions({ vault, rekey })
  const naming = { connectionName: nameOf(connections), resolveConnection: connections.resolve }
  return [
    ...inventoryActions({ inventory, findingsOf: openFindingsOf(findings), ...naming }),
    ...findingActions({ findings, ...naming }),
    ...briefActions({ inventory, connectionName: nameOf(connections) }),
    ...connectionActions({ connections, mayRefer: makeMayRefer(policy, secrets) }),
    ...secrets,
    ...identityActions(identity),
    ...usageActions(usage),
    ...policyActions({ policy, findPrincipal: identity.findPrincipal }),
    ...approvalActions({ approvals }),
    ...auditActions({ log: { ...audit, forget: makeForgetting(audit, usage, identity) } }),
    ...exportActions({ exports }),
    ...backupActions({ backups }),
    ...connectors.flatMap((connector) => connector.actions),
  ]
}

/** Whoever may store secrets may also say where one is kept. A call that had to be approved was approved as a whole. */
function makeMayRefer(policy: ReturnType<typeof makePolicy>, secrets: readonly Action[]) {
  const put = secrets.find(({ name }) => name === 'vault.secrets.put')
  return ({ principal, door }: Context): void => {
    const resource = { type: 'secret', id: '*' }
    const effect = put && policy.decide({ principal, action: put, resource, approved: true, door }).effect
    if (effect !== 'permit')
      throw new Problem('denied', 'Only whoever may store secrets may give a credential by reference')
  }
}

/**
 * Erases a person where what was done is kept: first the habits, whose departures are events, then the log. Never one who can still sign
 * in: else whoever may erase could make the log forget what they are doing themselves.
 */
function makeForgetting(audit: AuditLog, usage: Usage, { findPrincipal }: Identity): AuditLog['forget'] {
  return async (principal, texts) => {
    if (await findPrincipal(principal))
      throw new Problem('conflict', 'This principal can still sign in. Remove or disable it first, then erase it')
    await usage.forget(principal)
    return audit.forget(principal, texts)
  }
}

function openFindings(
  { database, now }: Parts,
  inventory: ReturnType<typeof makeInventory>,
  connections: ReturnType<typeof makeConnections>,
): Findings {
  const source = {
    machines: () => inventory.machineViews(),
    things: () => inventory.thingViews(),
    connections: connections.witnesses,
  }
  return makeFindings({ database, source, now })
}

/** What is open about one machine, the worst first. */
function openFindingsOf(findings: Findings) {
  return async (machine: string) => {
    const filter = {
      rules: [],
      states: ['open' as const],
      severities: [],
      sites: [],
      machine,
      connection: undefined,
      q: undefined,
    }
    const { items } = await findings.list(filter, { limit: 50, cursor: undefined })
    return items.map(({ id, rule, severity, openedAt }) => ({
      id,
      rule,
      title: findings.ruleOf(rule)?.title ?? rule,
      severity,
      since: openedAt,
    }))
  }
}

type Rooms = {
  readonly actions: readonly Action[]
  readonly policy: ReturnType<typeof makePolicy>
  readonly approvals: ReturnType<typeof makeApprovals>
  readonly limiter: ReturnType<typeof makeLimiter>
  readonly usage: Usage
  readonly connections: ReturnType<typeof makeConnections>
  readonly redact: (value: unknown) => unknown
  readonly record: (event: AuditEvent) => Promise<unknown>
  readonly recordRefusal: (event: AuditEvent) => Promise<unknown>
  readonly log: Log
}

function openGate(rooms: Rooms) {
  const { actions, policy, approvals, limiter, usage, connections, redact, record, recordRefusal, log } = rooms
  const gate = { catalog: makeCatalog(actions), limit: limiter.take, decide: policy.decide, ...connections.gate }
  const invoke = makeInvoke({
    ...gate,
    resolve: (resource) => resolveResource(connections, resource),
    note: ({ principal, remoteAddress }, action) => usage.note(principal, action, remoteAddress),
    hashInput: approvals.hashInput,
    approvals,
    open: (id, { signal, requestId }, revision) => connections.open(id, { signal, requestId }, revision),
    redact,
    record,
    recordRefusal,
    onBug: (error, { requestId }, action) => log.error({ err: error, requestId, action }, 'a call failed unexpectedly'),
  })
  return { catalog: gate.catalog, invoke, visible: makeVisible(gate), check: makeCheck(gate) }
}

function openApprovals({ database, rootKey, now }: Parts, vault: ReturnType<typeof makeVault>) {
  const { fingerprint: hashSecret, rootKeyIn } = vault
  return makeApprovals({ database, rootKey, rootKeyIn, now, ttlMs: approvalTtlMs, hashSecret })
}

function openIdentity(
  { config, database, rootKey, now }: Parts,
  limiter: ReturnType<typeof makeLimiter>,
  record: (event: AuditEvent) => Promise<unknown>,
  onFailure: ReturnType<typeof makeRefusalRecords>['recordFailure'],
  known: Pick<IdentityParts, 'resolveConnection' | 'isKnownScope'>,
): Identity {
  const throttle = makeLoginThrottle({ now })
  return makeIdentity({
    ...known,
    database,
    rootKey,
    now,
    sessionTokenTtlMs: config.ATLAS_TOKEN_EXPIRY * 1000,
    sessionSecret: config.ATLAS_SESSION_SECRET,
    takeLogin: async (username, remoteAddress) => {
      const { delaySeconds } = throttle.take(username, remoteAddress ?? '127.0.0.1')
      await sleep(delaySeconds * 1000, undefined, { ref: false })
    },
    loginSucceeded: throttle.succeeded,
    // The token has 256 bits, so only the load of guessing has to be limited.
    takeSetup: (remoteAddress) => {
      limiter.takeNetwork(remoteAddress)
    },
    onEvent: record,
    onFailure,
  })
}

function openSystems(
  { config, database, now, version }: Parts,
  vault: ReturnType<typeof makeVault>,
  log: Log,
  record: (event: AuditEvent) => Promise<unknown>,
) {
  const inventory = makeInventory({ database, subjectsOf, now })
  const allowLoopback = config.ATLAS_ALLOW_LOOPBACK_CONNECTIONS
  const connections = makeConnections({
    database,
    vault,
    inventory,
    connectors,
    httpFor: (options) => makeHttp({ ...options, allowLoopback, userAgent: `infrastructure-atlas/${version}`, now }),
    allowLoopback,
    now,
    log,
    onEvent: record,
  })
  return { inventory, connections }
}

/** What must work before this server takes calls. A name and true, or a short word for why not. */
async function readiness(database: Database): Promise<Record<string, boolean | string>> {
  const answers = await Promise.race([
    database.ping().then(
      () => true,
      () => 'unreachable',
    ),
    new Promise<string>((resolve) => setTimeout(resolve, 2000, 'slow').unref()),
  ])
  return { database: answers }
}

/** What a kind of system is the witness of; nothing when this version no longer has it. */
function subjectsOf(connector: string): readonly Subject[] {
  return connectors.find(({ id }) => id === connector)?.subjects ?? []
}

function httpConfig({ config, tls }: Parts) {
  const { ATLAS_PUBLIC_URL: publicUrl, ATLAS_TRUSTED_PROXIES: trustedProxies, ATLAS_CORS_ORIGINS: corsOrigins } = config
  return {
    ...(publicUrl !== undefined && { publicUrl: new URL(publicUrl).origin }),
    trustedProxies,
    corsOrigins,
    ...(tls && { tls }),
  }
}

/** A connection's name, or undefined when it is gone. */
function nameOf(connections: ReturnType<typeof makeConnections>) {
  return async (id: string): Promise<string | undefined> => {
    const all = await connections.list()
    return all.find((connection) => connection.id === id)?.name
  }
}

/** One thing has one name: a connection's name becomes its id, and a sync run counts as its connection. */
async function resolveResource(connections: ReturnType<typeof makeConnections>, resource: Resource): Promise<Resolved> {
  const { type, id } = resource
  if (id === '*' || !['connection', 'sync'].includes(type)) return { resource }
  const named = type === 'sync' ? await connections.syncs.connectionOf(id) : id
  const connection = await connections.resolveNow(named)
  return { resource: { type: 'connection', id: connection.id }, revision: connection.revision }
}
