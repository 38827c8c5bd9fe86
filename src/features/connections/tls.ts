import type { ShownCertificate } from '../../lib/http-connect.ts'
import type { Distrust } from '../../lib/http-outcome.ts'
import type { ConnectionEvent, ConnectionsParts } from './parts.ts'
import type { ConnectionStore, Stored } from './store.ts'

/** What is kept of a connection's TLS; JSON in its row. Fingerprints are SHA-256 in hex, times ISO 8601. */
export type Tls = {
  readonly certificate: {
    readonly fingerprint: string
    readonly issuer: string
    readonly endsAt: string
    /** When the system showed it instead of another one; null for the first. */
    readonly changedAt: string | null
  } | null
  readonly failure: { readonly at: string; readonly reason: Distrust } | null
  /** When something was last recorded, by what. Only what is younger than an hour matters. */
  readonly told: Readonly<Record<string, string>>
}

export const noTls: Tls = { certificate: null, failure: null, told: {} }

type Parts = Pick<ConnectionsParts, 'now' | 'log' | 'onEvent'> & { readonly store: ConnectionStore }

const hourMs = 3_600_000

/**
 * Keeps the certificate that each system last showed and records what may be somebody in between: another certificate, one
 * that is refused, one that is not the pinned one. At most one event per connection, fingerprint or reason, and hour, also
 * over several processes. The calls that notice something do not wait for it.
 */
export function makeTlsWatch(parts: Parts) {
  const { now, log } = parts
  const pending = new Set<Promise<void>>()

  function later(id: string, work: Promise<void>): void {
    const done = work
      .catch((error: unknown) => log.warn({ err: error, connection: id }, 'A note on TLS was not kept'))
      .finally(() => pending.delete(done))
    pending.add(done)
  }

  return {
    /** What an HTTP client for this row tells. */
    listeners: (row: Stored) => ({
      onCertificate: (shown: ShownCertificate) => later(row.id, noteCertificate(parts, row, shown, now())),
      onDistrust: (reason: Distrust, shown?: ShownCertificate) =>
        later(row.id, noteDistrust(parts, row, { reason, shown }, now())),
    }),
    /** Waits until what was noticed is kept and recorded. */
    async settle(): Promise<void> {
      while (pending.size > 0) await Promise.all(pending)
    },
  }
}

export type TlsWatch = ReturnType<typeof makeTlsWatch>

async function noteCertificate(parts: Parts, row: Stored, shown: ShownCertificate, now: Date): Promise<void> {
  const { fingerprint, issuer } = shown
  const endsAt = shown.endsAt.toISOString()
  const at = now.toISOString()
  await change(parts, row, (before) => {
    if (before.certificate?.fingerprint === fingerprint) return undefined
    const certificate = { fingerprint, issuer, endsAt, changedAt: before.certificate === null ? null : at }
    const after = { ...before, certificate }
    if (before.certificate === null) return { after }
    const { changedAt: _, ...old } = before.certificate
    const code = 'connection.certificate-changed' as const
    return told(
      { after, event: { code, detail: { before: old, after: { fingerprint, issuer, endsAt } } } },
      fingerprint,
      now,
    )
  })
}

type Refused = { readonly reason: Distrust; readonly shown: ShownCertificate | undefined }

async function noteDistrust(parts: Parts, row: Stored, { reason, shown }: Refused, now: Date): Promise<void> {
  const isPin = reason === 'other-pin'
  const event = isPin
    ? { code: 'connection.pin-mismatch' as const, detail: { pinned: row.certificate_pin, shown: shown ?? null } }
    : { code: 'connection.tls-failed' as const, detail: { reason } }
  await change(parts, row, (before) => {
    const after = { ...before, failure: { at: now.toISOString(), reason } }
    const next = told({ after, event: { ...event, outcome: 'upstream-untrusted' } }, reason, now)
    return next.event && next
  })
}

type Change = { readonly after: Tls; readonly event?: Omit<ConnectionEvent, 'resource'> }

/** The change without its event when one of the same was recorded within the hour; otherwise it remembers this one. */
function told({ after, event }: Change, what: string, now: Date): Change {
  const fresh = Object.entries(after.told).filter(([, at]) => Math.abs(now.getTime() - Date.parse(at)) < hourMs)
  const isTold = fresh.some(([other]) => other === what)
  const all = isTold ? fresh : [...fresh.slice(-31), [what, now.toISOString()] as const]
  return { after: { ...after, told: Object.fromEntries(all) }, ...(!isTold && event && { event }) }
}

/** Keeps first and records then, so that of several processes one records. What could not be recorded is not kept either. */
async function change(
  { store, onEvent }: Parts,
  { id, revision }: Stored,
  next: (before: Tls) => (Change & { readonly event?: Change['event'] }) | undefined,
): Promise<void> {
  let event: Change['event']
  const changed = await store.changeTls(id, revision, (before) => {
    const change = next(before)
    event = change?.event
    return change?.after
  })
  if (!changed || !event) return
  try {
    await onEvent({ ...event, resource: { type: 'connection', id } })
  } catch (error) {
    const kept = JSON.stringify(changed.after)
    await store.changeTls(id, revision, (tls) => (JSON.stringify(tls) === kept ? changed.before : undefined))
    throw error
  }
}
