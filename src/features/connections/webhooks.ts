import { hash } from 'node:crypto'
import type { Connector, Webhook } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import type { Secret } from '../../core/secret.ts'
import { newId } from '../../lib/ids.ts'
import type { ConnectionsParts } from './parts.ts'
import type { Stored } from './store.ts'
import { makeWebhookStore } from './store-webhooks.ts'
import { isWanted } from './waiting.ts'

/** The current secret and, while the sender is being changed over, the one before it. */
const secretsKept = 2
/** Longer than any sender tries again. */
const rememberMs = 7 * 86_400_000
/** From one connection in a minute, before its deliveries are refused. */
const perMinute = 600

export type Delivery = {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** Exactly as received: signatures are over these bytes. */
  readonly body: Uint8Array
}

type Parts = ConnectionsParts & {
  readonly find: (idOrName: string) => Promise<Stored>
  readonly connectorOf: (row: Stored) => Connector
  /** Called when a connection is wanted to be read. */
  readonly wanted: () => void
}

/**
 * What connected systems send us. A delivery only says that something changed: nothing in it is believed, and the sync that
 * follows reads the system itself.
 */
export function makeWebhooks(parts: Parts) {
  const { database, vault, now, find, connectorOf, wanted } = parts
  const store = makeWebhookStore(database)
  const counts = new Map<string, { minute: number; count: number }>()

  function spendOne(connection: string): void {
    const minute = Math.floor(now().getTime() / 60_000)
    const known = counts.get(connection)
    const count = known?.minute === minute ? known.count + 1 : 1
    counts.set(connection, { minute, count })
    if (count > perMinute)
      throw new Problem('rate-limited', 'Too many deliveries for this connection', { retryAfterSeconds: 60 })
  }

  async function isSigned(row: Stored, webhook: Webhook, { headers, body }: Delivery): Promise<boolean> {
    const { header, scheme, prefix = '' } = webhook.signature
    const given = headers[header.toLowerCase()]
    if (typeof given !== 'string' || !given.startsWith(prefix)) return false
    const proof = given.slice(prefix.length)
    for (const id of await store.secrets(row.id))
      if (await vault.proves(id, row.id, { scheme, proof, body }).catch(destroyed)) return true
    return false
  }

  return {
    /**
     * Takes one delivery. Whoever cannot sign it learns nothing, not even whether the connection exists (`denied`). One that
     * came before, or while the connection waits to be read anyway, has no effect. `accepted` is called before anything follows.
     */
    async receive(
      idOrName: string,
      delivery: Delivery,
      accepted: (connection: string) => Promise<void>,
    ): Promise<void> {
      const row = await find(idOrName).catch((error: unknown) => {
        if (error instanceof Problem && error.type === 'not-found') return undefined
        throw error
      })
      const webhook = row && connectorOf(row).webhook
      if (!row || !webhook || !(await isSigned(row, webhook, delivery)))
        throw new Problem('denied', 'The signature of this delivery is missing or wrong')
      spendOne(row.id)
      if (isWanted(row)) return
      // By what is signed, not by a header that names the delivery: who saw one could send it again under other names.
      const key = hash('sha256', delivery.body, 'base64url')
      const at = now()
      await store.forget(new Date(at.getTime() - rememberMs).toISOString())
      if (await store.isKnown(row.id, key)) return
      // Remembered last: a delivery that we fail on is taken when its sender tries again.
      await accepted(row.id)
      await store.want(row.id, at.toISOString())
      await store.remember(row.id, key, at.toISOString())
      wanted()
    },

    /** Adds the secret that the sender signs with. The one before it stays good until it is retired or the next is added. */
    async enable(idOrName: string, value: Secret): Promise<{ connection: string; secrets: number }> {
      const row = await find(idOrName)
      if (!connectorOf(row).webhook) throw new Problem('conflict', 'This kind of system sends no deliveries')
      const { id } = await vault.put({ name: newId('hook'), value, owner: row.id, kind: 'webhook' })
      const kept = [id, ...(await store.secrets(row.id))]
      await store.setSecrets(row.id, kept.slice(0, secretsKept))
      for (const old of kept.slice(secretsKept)) await vault.destroy(old)
      return { connection: row.id, secrets: Math.min(kept.length, secretsKept) }
    },

    /** Ends the older secret (`older`), or all: then every delivery is refused. */
    async retire(idOrName: string, which: 'older' | 'all'): Promise<{ connection: string; secrets: number }> {
      const row = await find(idOrName)
      const kept = await store.secrets(row.id)
      const left = which === 'all' ? [] : kept.slice(0, 1)
      await store.setSecrets(row.id, left)
      for (const old of kept.slice(left.length)) await vault.destroy(old)
      return { connection: row.id, secrets: left.length }
    },

    secretsOf: (connection: string): Promise<number> => store.secrets(connection).then(({ length }) => length),
  }
}

export type Webhooks = ReturnType<typeof makeWebhooks>

/** A secret that was destroyed in the vault proves nothing, and to a stranger that is all that it says. */
function destroyed(error: unknown): false {
  if (error instanceof Problem && ['not-found', 'conflict'].includes(error.type)) return false
  throw error
}
