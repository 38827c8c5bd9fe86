import type { JsonAnswer } from './asking.ts'
import type { VaultClient } from './openbao-client.ts'
import { Unreadable } from './source.ts'

/** A token near its longest life gets less and less; it is not asked for more often than this. */
const leastMs = 5_000

type Parts = { readonly client: Pick<VaultClient, 'ask'>; readonly now: () => Date }

/** Keeps the token alive that Atlas was given: renewed when two thirds of its time are over. One that cannot be renewed is let be. */
export function makeTokenKeeper({ client, now }: Parts) {
  let dueAt = Number.NEGATIVE_INFINITY
  let isKnown = false

  return {
    /** Renews the token when it is time. @throws Unreadable */
    async tend(): Promise<void> {
      if (now().getTime() < dueAt) return
      if (!isKnown) {
        const { ttl, renewable } = await lookUp(client)
        isKnown = true
        // A token without an end needs no care, and of one that cannot be renewed nobody can take any.
        if (ttl === 0 || !renewable) {
          dueAt = Number.POSITIVE_INFINITY
          return
        }
      }
      // How much of its time is over is not told at first, so it is renewed at once.
      const { ttl, renewable } = await renew(client)
      dueAt = renewable ? now().getTime() + Math.max(leastMs, (ttl * 1000 * 2) / 3) : Number.POSITIVE_INFINITY
    },
  }
}

type Life = { readonly ttl: number; readonly renewable: boolean }

async function lookUp(client: Parts['client']): Promise<Life> {
  const { body } = await client.ask('GET', 'auth/token/lookup-self')
  return lifeIn(body['data'], 'ttl')
}

async function renew(client: Parts['client']): Promise<Life> {
  const { status, body } = await client.ask('PUT', 'auth/token/renew-self', {})
  // It says so when it cannot be renewed (any more).
  return status === 400 ? { ttl: 0, renewable: false } : lifeIn(body['auth'], 'lease_duration')
}

function lifeIn(part: JsonAnswer['body'][string], name: 'ttl' | 'lease_duration'): Life {
  const { [name]: ttl, renewable } = (part ?? {}) as Readonly<Record<string, unknown>>
  if (typeof ttl !== 'number' || typeof renewable !== 'boolean')
    throw new Unreadable('the vault does not give a usable answer')
  return { ttl, renewable }
}
