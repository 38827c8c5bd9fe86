import type { Connector, Http, Session } from '../../core/connector.ts'
import type { Secret } from '../../core/secret.ts'
import type { VaultPart } from './parts.ts'

/** What signing in needs to know of one connection. `keep` stores renewed credential fields before they are used. */
export type SigningIn = {
  readonly id: string
  readonly connector: Connector
  readonly config: Record<string, unknown>
  readonly credential: Readonly<Record<string, Secret>>
  /** Not signed in. */
  readonly http: Http
  readonly keep: (credential: Readonly<Record<string, Secret>>) => Promise<void>
}

/** `key` changes when signing in renews the credential: the session belongs to the renewed one from then on. */
type Held = { key: string; readonly opening: Promise<Session>; over: boolean }

/** A session this close to its end is renewed first, so that it does not end under a request. */
const marginMs = 30_000

export type Sessions = ReturnType<typeof makeSessions>

/**
 * The sessions of this process: at most one per connection, one sign-in at a time, and none that was opened with an older
 * credential.
 */
export function makeSessions({
  vault,
  now,
}: {
  readonly vault: Pick<VaultPart, 'fingerprint' | 'hide'>
  readonly now: () => Date
}) {
  const held = new Map<string, Held>()

  function keyOf({ connector, config, credential }: Pick<SigningIn, 'connector' | 'config' | 'credential'>): string {
    const fields = Object.entries(credential).map(([field, value]) => [field, vault.fingerprint(value)])
    return JSON.stringify([connector.id, config['url'], fields.sort()])
  }

  async function open(
    signing: SigningIn,
    previous: Session | undefined,
    renewed: (key: string) => void,
  ): Promise<Session> {
    const { id, connector, config, credential, http, keep } = signing
    const session = await connector.signIn?.({ config, credential, http, now, previous })
    if (!session) throw new Error(`${connector.id} does not sign in`)
    for (const [name, value] of Object.entries(session.values)) vault.hide(`${id}/${name}`, value)
    if (session.credential) {
      await keep(session.credential)
      renewed(keyOf({ ...signing, credential: { ...credential, ...session.credential } }))
    }
    return session
  }

  async function previousOf(entry: Held | undefined, key: string): Promise<Session | undefined> {
    return entry?.key === key ? entry.opening.catch(() => undefined) : undefined
  }

  /** The session for this credential; signs in when there is none, when it is over, or shortly before it ends. */
  async function get(signing: SigningIn): Promise<{ session: Session; over: () => void }> {
    const key = keyOf(signing)
    const last = held.get(signing.id)
    let entry = last
    if (!entry || entry.key !== key || entry.over) {
      const own: Held = {
        key,
        over: false,
        // The connection may have been moved meanwhile: what is held then is another place's.
        opening: previousOf(last, key).then((previous) =>
          open(signing, previous, (renewed) => {
            own.key = renewed
          }),
        ),
      }
      entry = own
      held.set(signing.id, own)
      // A failed sign-in is not kept: the next request tries again.
      own.opening.catch(() => held.get(signing.id) === own && held.delete(signing.id))
    }
    const mine = entry
    const isNew = mine !== last
    const session = await mine.opening
    const over = () => {
      const current = held.get(signing.id)
      if (current?.opening === mine.opening) current.over = true
    }
    const left = session.expiresAt ? session.expiresAt.getTime() - now().getTime() : Number.POSITIVE_INFINITY
    if (left >= marginMs || isNew) return { session, over }
    over()
    return get(signing)
  }

  return {
    get,

    isOpen: (id: string): boolean => held.get(id)?.over === false,

    /** The session that stands, if one does, and forgets it. */
    async take(id: string): Promise<Session | undefined> {
      const entry = held.get(id)
      held.delete(id)
      return entry?.over === false ? entry.opening.catch(() => undefined) : undefined
    },
  }
}
