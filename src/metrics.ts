import { hash } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { toProblem } from './core/problem.ts'
import type { Secret } from './core/secret.ts'
import type { AuditLog } from './features/audit/log.ts'
import type { Connections } from './features/connections/connections.ts'
import type { Findings } from './features/inventory/findings/findings.ts'
import { severities } from './features/inventory/findings/rule.ts'
import type { Vault } from './features/vault/vault.ts'
import type { Catalog } from './gate/catalog.ts'
import type { Invoke } from './gate/invoke.ts'
import { type Family, formatMetrics, type Labels, makeCounter, makeHistogram } from './lib/metrics.ts'

// What an operator watches, for Prometheus. Docs: docs/operate/metrics.md (test/parity.test.ts compares).

const keptMs = 5_000
/** Seconds. */
const durations = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60]

export type Sources = {
  readonly audit: Pick<AuditLog, 'status'>
  readonly vault: Pick<Vault, 'rotationCounts' | 'keys' | 'currentIncident'>
  readonly connections: Pick<Connections, 'list'>
  readonly findings: Pick<Findings, 'summary'>
}

/** Counts what happens from the first call on; `render` asks the rooms for the rest. */
export function makeMetrics({ version, token }: { readonly version: string; readonly token?: Secret | undefined }) {
  const calls = makeCounter('atlas_calls_total', 'Calls through the gate, by action, door and outcome.')
  const seconds = makeHistogram('atlas_call_seconds', 'How long calls through the gate took, in seconds.', durations)
  const integrity = makeCounter('atlas_vault_integrity_failures_total', 'Reads of secrets that did not open.')
  integrity.add({}, 0)
  const loop = monitorEventLoopDelay({ resolution: 20 })
  loop.enable()
  let rendered: { at: number; text: Promise<string> } | undefined

  return {
    integrityFailed: () => integrity.add({}),
    tokenHash: token && hash('sha256', token.reveal(), 'buffer'),

    /** `invoke` with its calls counted. A name that is no action's is the caller's free text and is not kept. */
    counted(invoke: Invoke, catalog: Catalog): Invoke {
      return async (call, name, rawInput) => {
        const from = performance.now()
        const end = (outcome: string) => {
          calls.add({ action: catalog.get(name) ? name : 'unknown', door: call.door, outcome })
          seconds.observe({ door: call.door }, (performance.now() - from) / 1000)
        }
        try {
          const answer = await invoke(call, name, rawInput)
          end('pending' in answer ? 'pending' : 'ok')
          return answer
        } catch (error) {
          end(toProblem(error).type)
          throw error
        }
      }
    },

    /** Asked more often than every few seconds it answers the same: a scraper must not be able to load the database. */
    async render(sources: Sources): Promise<string> {
      const now = performance.now()
      if (!rendered || now - rendered.at > keptMs) rendered = { at: now, text: renderAll(sources) }
      return rendered.text
    },
  }

  async function renderAll(sources: Sources): Promise<string> {
    const groups = await Promise.all([
      attempt('audit', () => auditFamilies(sources)),
      attempt('vault', () => vaultFamilies(sources)),
      attempt('connections', () => connectionFamilies(sources)),
      attempt('findings', () => findingFamilies(sources)),
    ])
    const failed = groups.map(({ source, families }) => ({ labels: { source }, value: families ? 0 : 1 }))
    return formatMetrics([
      gauge('atlas_build_info', 'The running version.', [{ labels: { version }, value: 1 }]),
      gauge('atlas_metrics_source_failed', 'Whether a room could not tell its figures this time.', failed),
      calls.family(),
      seconds.family(),
      integrity.family(),
      ...groups.flatMap(({ families }) => families ?? []),
      ...processFamilies(loop.percentile(99) / 1e9),
    ])
  }
}

type Values = readonly { readonly labels?: Labels; readonly value: number }[]

function gauge(name: string, help: string, values: Values | number): Family {
  return { name, help, type: 'gauge', samples: typeof values === 'number' ? [{ value: values }] : values }
}

/** A room that fails must not take the figures of the others with it. */
async function attempt(source: string, read: () => Promise<readonly Family[]>) {
  try {
    return { source, families: await read() }
  } catch {
    return { source, families: undefined }
  }
}

async function auditFamilies({ audit }: Sources): Promise<readonly Family[]> {
  const { size, signedSize, signer, clockBehindSeconds, witnesses, sinks } = await audit.status()
  const named = (value: (witness: (typeof witnesses)[number]) => number) =>
    witnesses.map((witness) => ({ labels: { witness: witness.name }, value: value(witness) }))
  return [
    gauge('atlas_audit_entries', 'Entries in the audit log.', size),
    gauge('atlas_audit_signed_entries', 'Entries below the newest checkpoint.', signedSize),
    gauge('atlas_audit_signer', 'Whether this server signs the audit log.', signer ? 1 : 0),
    gauge('atlas_audit_clock_behind_seconds', 'How far the clock is behind the newest entry.', clockBehindSeconds),
    gauge(
      'atlas_audit_witness_lag_entries',
      'Entries that a witness has not cosigned.',
      named((witness) => Math.max(0, size - witness.size)),
    ),
    gauge(
      'atlas_audit_witness_failing',
      'Whether a witness did not cosign the last time.',
      named((witness) => (witness.fault === null ? 0 : 1)),
    ),
    ...sinkFamilies(sinks),
  ]
}

function sinkFamilies(sinks: Awaited<ReturnType<AuditLog['status']>>['sinks']): readonly Family[] {
  const each = (value: (sink: (typeof sinks)[number]) => number) =>
    sinks.map((sink) => ({ labels: { sink: sink.name }, value: value(sink) }))
  return [
    gauge(
      'atlas_audit_sink_lag_entries',
      'Entries that a sink has not got.',
      each(({ lagEntries }) => lagEntries),
    ),
    gauge(
      'atlas_audit_sink_lag_seconds',
      'How long the oldest of them has been waiting.',
      each(({ lagSeconds }) => lagSeconds),
    ),
    gauge(
      'atlas_audit_sink_failing',
      'Whether a sink did not take anything the last time.',
      each(({ fault, isStopped }) => (fault === null && !isStopped ? 0 : 1)),
    ),
  ]
}

async function vaultFamilies({ vault }: Sources): Promise<readonly Family[]> {
  const { living, soon, overdue } = await vault.rotationCounts()
  const keys = await vault.keys()
  const retired = keys.filter(({ state }) => state === 'retired').reduce((sum, { versions }) => sum + versions, 0)
  const incident = await vault.currentIncident()
  return [
    gauge('atlas_vault_incident_open', 'Whether everything is to be rotated.', incident ? 1 : 0),
    gauge(
      'atlas_vault_incident_waiting_secrets',
      'Secrets that an open incident waits for.',
      incident?.secrets.waiting ?? 0,
    ),
    gauge('atlas_vault_secrets', 'Stored secrets.', living),
    gauge('atlas_vault_secrets_due_soon', 'Secrets that are to be changed soon.', soon),
    gauge('atlas_vault_secrets_overdue', 'Secrets that should have been changed by now.', overdue),
    gauge('atlas_vault_retired_key_versions', 'Secret versions that are still sealed under a retired key.', retired),
  ]
}

async function connectionFamilies({ connections }: Sources): Promise<readonly Family[]> {
  const all = await connections.list()
  const labels = ({ id, name, connector }: (typeof all)[number]) => ({ connection: id, name, connector })
  return [
    gauge(
      'atlas_connection_failing',
      'Whether the last sync or test of a connection failed.',
      all.map((one) => ({ labels: labels(one), value: one.state === 'failing' ? 1 : 0 })),
    ),
    gauge(
      'atlas_connection_last_sync_timestamp_seconds',
      'When a connection was last read to the end.',
      all.flatMap((one) =>
        one.lastSyncedAt === null ? [] : [{ labels: labels(one), value: Date.parse(one.lastSyncedAt) / 1000 }],
      ),
    ),
  ]
}

async function findingFamilies({ findings }: Sources): Promise<readonly Family[]> {
  const { severities: counted } = await findings.summary(1)
  const open = new Map(counted.map(({ severity, open }) => [severity, open]))
  const values = severities.map((severity, i) => ({ labels: { severity }, value: open.get(i) ?? 0 }))
  return [gauge('atlas_findings_open', 'Open findings.', values)]
}

function processFamilies(lagSeconds: number): readonly Family[] {
  return [
    gauge('atlas_event_loop_lag_p99_seconds', 'How late the event loop was, since the start.', lagSeconds),
    gauge('process_resident_memory_bytes', 'Resident memory.', process.memoryUsage.rss()),
    gauge('process_start_time_seconds', 'When the process started.', Math.round(Date.now() / 1000 - process.uptime())),
  ]
}
