import type { JsonAnswer } from './asking.ts'
import type { VaultClient } from './openbao-client.ts'
import { type Document, Unreadable } from './source.ts'

/** A lease that nobody used for so long is given back. */
export const idleMs = 15 * 60_000
const revokeMs = 2_000

type Lease = {
  readonly id: string
  readonly ttlMs: number
  readonly fields: JsonAnswer['body']
  readonly renewable: boolean
  endsAt: number
  usedAt: number
}

type Parts = {
  readonly client: Pick<VaultClient, 'ask'>
  readonly now: () => Date
  readonly documentIn: (fields: JsonAnswer['body']) => Document
}

/**
 * Credentials that the vault makes on demand and takes back: one lease for each path, held as long as somebody uses it, renewed when
 * two thirds of its time are over, and given back at the end. User name and password of one path are always of one lease.
 */
export function makeLeases({ client, now, documentIn }: Parts) {
  const held = new Map<string, Lease>()
  const at = () => now().getTime()
  /** From here on a lease is not begun with any more: a request must not outlive it. */
  const lastUse = ({ endsAt, ttlMs }: Lease) => endsAt - Math.min(30_000, ttlMs / 10)

  async function fetch(path: string): Promise<Document> {
    const known = held.get(path)
    const lease = known && at() < lastUse(known) ? known : await take(path)
    held.set(path, lease)
    lease.usedAt = at()
    return { ...documentIn(lease.fields), goodUntil: lastUse(lease) }
  }

  async function take(path: string): Promise<Lease> {
    const { status, body } = await client.ask('GET', path)
    const { lease_id: id, lease_duration: seconds, renewable, data } = body
    if (status !== 200) throw new Unreadable('there is nothing at this path')
    if (typeof id !== 'string' || id === '' || typeof seconds !== 'number' || typeof data !== 'object' || data === null)
      throw new Unreadable(
        'what is there has no lease; allow its path in ATLAS_REFERENCE_VAULT_KV if it is a stored secret',
      )
    const ttlMs = seconds * 1000
    return {
      id,
      ttlMs,
      fields: data as JsonAnswer['body'],
      renewable: renewable === true,
      endsAt: at() + ttlMs,
      usedAt: at(),
    }
  }

  /** Gives a lease back; one that cannot be given back ends by itself. */
  async function revoke(path: string): Promise<void> {
    const lease = held.get(path)
    held.delete(path)
    if (!lease || lease.endsAt <= at()) return
    await client.ask('PUT', 'sys/leases/revoke', { lease_id: lease.id }, AbortSignal.timeout(revokeMs)).catch(() => {})
  }

  /** A refusal can have other reasons: a lease that still stands is kept, since others are using it. */
  async function forget(path: string): Promise<void> {
    const lease = held.get(path)
    if (!lease) return
    const { status } = await client.ask('PUT', 'sys/leases/lookup', { lease_id: lease.id })
    if (status !== 200 && held.get(path) === lease) held.delete(path)
  }

  async function renew(path: string, lease: Lease): Promise<void> {
    const asked = { lease_id: lease.id, increment: Math.round(lease.ttlMs / 1000) }
    const { status, body } = await client.ask('PUT', 'sys/leases/renew', asked)
    // It is over, or may not be renewed: the next use takes another.
    if (status !== 200 || typeof body['lease_duration'] !== 'number') held.delete(path)
    else lease.endsAt = at() + body['lease_duration'] * 1000
  }

  return {
    fetch,
    forget,
    /** Renews what is in use and gives back what is not. @throws Unreadable, when all were looked after */
    async tend(): Promise<void> {
      const faults: unknown[] = []
      for (const [path, lease] of [...held]) {
        if (lease.endsAt <= at()) held.delete(path)
        else if (at() - lease.usedAt >= idleMs) await revoke(path)
        else if (lease.renewable && at() >= lease.endsAt - lease.ttlMs / 3)
          await renew(path, lease).catch((error: unknown) => faults.push(error))
      }
      if (faults.length > 0) throw faults[0]
    },
    async close(): Promise<void> {
      await Promise.all([...held.keys()].map(revoke))
    },
  }
}
