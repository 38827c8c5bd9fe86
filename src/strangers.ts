import { Problem } from './core/problem.ts'
import type { HttpDoorParts } from './doors/http/parts.ts'
import type { AuditEvent } from './features/audit/event.ts'
import { makeRefusals } from './features/audit/refusals.ts'
import type { Connections } from './features/connections/connections.ts'
import { networkOf } from './features/limits/network.ts'
import type { Log } from './lib/log.ts'

type Parts = {
  readonly record: (event: AuditEvent) => Promise<unknown>
  readonly now: () => Date
  readonly log: Log
}

/** What callers can make the log hold by being refused: so many entries a minute, and the count of the rest. */
export function makeRefusalRecords({ record, now, log }: Parts) {
  const onFault = (error: unknown) => log.warn({ err: error }, 'refusals could not be recorded')
  const calls = makeRefusals({ record, summary: 'action.refused-again', now, onFault })
  const tokens = makeRefusals({ record, summary: 'auth.refused-again', now, onFault })
  const deliveries = makeRefusals({ record, summary: 'webhook.refused-again', now, onFault })
  return {
    /** A call through the gate, by its principal. */
    recordRefusal: (event: AuditEvent): Promise<void> => calls.refused(event.principal?.id ?? '', event),
    /** A refused token, by the network that it came from. */
    recordFailure: ({ reason, tokenId, remoteAddress }: Refusal): Promise<void> =>
      tokens.refused(networkOf(remoteAddress), {
        code: 'auth.failed',
        outcome: 'unauthenticated',
        ...(tokenId !== undefined && { resource: { type: 'token', id: tokenId } }),
        detail: { reason, remoteAddress },
      }),
    /** A delivery that its system did not sign. */
    recordDelivery: (remoteAddress: string): Promise<void> =>
      deliveries.refused(networkOf(remoteAddress), {
        code: 'webhook.refused',
        outcome: 'denied',
        detail: { reason: 'signature', remoteAddress },
      }),
    /** Writes what was counted; before the log itself stops. */
    async settle(): Promise<void> {
      for (const { close } of [calls, tokens, deliveries]) await close()
    },
  }
}

type Refusal = { readonly reason: string; readonly remoteAddress: string; readonly tokenId?: string | undefined }

/** Deliveries of connected systems: each that counts is in the log before its sync can start. */
export function makeReceiver(
  { webhooks }: Connections,
  record: (event: AuditEvent) => Promise<unknown>,
  recordDelivery: (remoteAddress: string) => Promise<void>,
): NonNullable<HttpDoorParts['receive']> {
  return async (named, delivery, remoteAddress) => {
    const accepted = async (id: string): Promise<void> => {
      await record({ code: 'webhook.received', resource: { type: 'connection', id }, detail: { remoteAddress } })
    }
    try {
      await webhooks.receive(named, delivery, accepted)
    } catch (error) {
      if (error instanceof Problem && error.type === 'denied') await recordDelivery(remoteAddress)
      throw error
    }
  }
}
