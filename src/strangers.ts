import { Problem } from './core/problem.ts'
import type { HttpDoorParts } from './doors/http/parts.ts'
import type { AuditEvent } from './features/audit/event.ts'
import type { Connections } from './features/connections/connections.ts'
import { makeLimiter } from './features/limits/limiter.ts'

// What those who have not signed in can make the log hold.

/** Deliveries of connected systems: each that counts is in the log before its sync can start; refused ones are limited. */
export function makeReceiver(
  { webhooks }: Connections,
  record: (event: AuditEvent) => Promise<unknown>,
  now: () => Date,
): NonNullable<HttpDoorParts['receive']> {
  const refused = makeFailureRecord(
    (failure) => record({ ...failure, code: 'webhook.refused', outcome: 'denied' }),
    now,
  )
  return async (named, delivery, remoteAddress) => {
    const accepted = async (id: string): Promise<void> => {
      await record({ code: 'webhook.received', resource: { type: 'connection', id }, detail: { remoteAddress } })
    }
    try {
      await webhooks.receive(named, delivery, accepted)
    } catch (error) {
      if (error instanceof Problem && error.type === 'denied') await refused({ remoteAddress, reason: 'signature' })
      throw error
    }
  }
}

type Refusal = { readonly reason: string; readonly remoteAddress: string; readonly tokenId?: string | undefined }

/**
 * Records refused tokens, at most 30 a minute from one network: whoever has no token must not be able to fill a log that
 * is never cut. What was left out is counted in the next entry.
 */
export function makeFailureRecord(record: (event: AuditEvent) => Promise<unknown>, now: () => Date) {
  const limiter = makeLimiter({ rpm: 30, now })
  let suppressed = 0
  return async ({ reason, tokenId, remoteAddress }: Refusal): Promise<void> => {
    try {
      limiter.takeNetwork(remoteAddress)
    } catch {
      suppressed++
      return
    }
    const detail = { reason, remoteAddress, ...(suppressed > 0 && { suppressed }) }
    suppressed = 0
    await record({
      code: 'auth.failed',
      outcome: 'unauthenticated',
      ...(tokenId !== undefined && { resource: { type: 'token', id: tokenId } }),
      detail,
    })
  }
}
