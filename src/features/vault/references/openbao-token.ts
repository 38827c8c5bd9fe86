import type { Secret } from '../../../core/secret.ts'
import type { VaultClient } from './openbao-client.ts'
import { Unreadable } from './source.ts'

/** A token near its longest life gets less and less; it is not asked for more often than this. */
const leastMs = 5_000

type Parts = { readonly client: Pick<VaultClient, 'ask'>; readonly token: () => Secret; readonly now: () => Date }

/** Keeps the token alive that Atlas was given: renewed when two thirds of its time are over. One that cannot be renewed is let be. */
export function makeTokenKeeper({ client, token, now }: Parts) {
  let dueAt = Number.NEGATIVE_INFINITY
  let known: Secret | undefined

  return {
    /** Renews the token when it is time. @throws Unreadable */
    async tend(): Promise<void> {
      const current = token()
      if (current.reveal() !== known?.reveal())
        dueAt = (await canRenew(client)) ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
      known = current
      if (now().getTime() < dueAt) return
      // How much of its time is over is not told at first, so it is renewed at once.
      const { ttl, renewable } = await renew(client)
      dueAt = renewable ? now().getTime() + Math.max(leastMs, (ttl * 1000 * 2) / 3) : Number.POSITIVE_INFINITY
    },
  }
}

/** One that never ends says no, like one that nobody can keep alive. */
async function canRenew(client: Parts['client']): Promise<boolean> {
  const { body } = await client.ask('GET', 'auth/token/lookup-self')
  return (body['data'] as { renewable?: unknown } | undefined)?.renewable === true
}

async function renew(client: Parts['client']): Promise<{ readonly ttl: number; readonly renewable: boolean }> {
  const { status, body } = await client.ask('PUT', 'auth/token/renew-self', {})
  // It says so when it cannot be renewed (any more).
  if (status === 400) return { ttl: 0, renewable: false }
  const { lease_duration: ttl, renewable } = (body['auth'] ?? {}) as Readonly<Record<string, unknown>>
  if (typeof ttl !== 'number' || typeof renewable !== 'boolean')
    throw new Unreadable('the vault does not give a usable answer')
  return { ttl, renewable }
}
