import type { Connector, Outgoing } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import type { Secret } from '../../core/secret.ts'
import type { HttpClient, HttpOptions, Signed } from '../../lib/http-client.ts'
import type { ConnectionsParts } from './parts.ts'
import type { Sessions } from './sessions.ts'
import type { Stored } from './store.ts'

/** HTTP for one connection, signed with what the vault holds at the moment of each request. */
export function makeClient(
  parts: ConnectionsParts,
  sessions: Sessions,
  row: Stored,
  connector: Connector,
  listeners: Required<Pick<HttpOptions, 'onCertificate' | 'onDistrust'>>,
  { tries, isStaged = false }: { tries?: number; isStaged?: boolean } = {},
): HttpClient {
  const config = readConfig(connector, row)
  const { clientCertificate } = connector
  const credentialOf = () => readCredential(parts, row, isStaged)
  const id = isStaged ? stagedId(row) : row.id

  async function sign(request: Outgoing): Promise<Signed> {
    const credential = await credentialOf()
    try {
      return await signWith(credential, request)
    } catch (error) {
      // Signing in failed. Somebody may have changed the credential a moment ago, here or where it is kept.
      const isDenied = error instanceof Problem && error.type === 'upstream-denied'
      if (!isDenied || !(await isOther(parts, row, credential, isStaged))) throw error
      return signWith(await credentialOf(), request)
    }
  }

  async function signWith(credential: Record<string, Secret>, request: Outgoing): Promise<Signed> {
    const http = client.forCall({ unsigned: true })
    const keep = (fields: Readonly<Record<string, Secret>>) => keepFields(parts, row, connector, fields, isStaged)
    const held = connector.signIn && (await sessions.get({ id, connector, config, credential, http, keep }))
    const body = connector.signBody?.(credential, request, held?.session)
    const whole = body === undefined ? request : { ...request, body }
    return {
      headers: connector.authenticate(credential, whole, held?.session),
      ...(body !== undefined && { body }),
      ...(held && { over: held.over }),
      refused: () => isOther(parts, row, credential, isStaged),
    }
  }

  const client = parts.httpFor({
    url: String(config['url']),
    ...(row.ca_certificate !== null && { caPem: row.ca_certificate }),
    ...(row.certificate_pin !== null && { pin: row.certificate_pin }),
    ...(connector.explain && { explain: connector.explain }),
    ...(clientCertificate && { clientCertificate: async () => clientCertificate(await credentialOf()) }),
    limits: tries === undefined ? {} : { tries },
    ...listeners,
    sign,
  })
  return client
}

/** The name of sessions that are signed in with what is staged. */
export function stagedId(row: Stored): string {
  return `${row.id}/staged`
}

/** The current values, from the vault; or those that come next. */
async function readCredential(
  { vault }: ConnectionsParts,
  row: Stored,
  isStaged: boolean,
): Promise<Record<string, Secret>> {
  const use = isStaged ? vault.useStaged : vault.use
  const fields = Object.entries(row.secretIds).map(async ([field, id]) => [field, await use(id, row.id)] as const)
  return Object.fromEntries(await Promise.all(fields))
}

/** Whether a credential is no longer the one to sign in with. */
async function isOther(
  { vault }: ConnectionsParts,
  row: Stored,
  credential: Readonly<Record<string, Secret>>,
  staged: boolean,
): Promise<boolean> {
  for (const [field, id] of Object.entries(row.secretIds)) {
    const than = credential[field]
    if (than && (await vault.isOther(id, row.id, than, { staged }))) return true
  }
  return false
}

/** What a sign-in renewed, as the next versions of the fields it came from. */
async function keepFields(
  { vault }: ConnectionsParts,
  { secretIds }: Stored,
  { id: connector, renews }: Connector,
  fields: Readonly<Record<string, Secret>>,
  isStaged: boolean,
): Promise<void> {
  const versions = Object.entries(fields).map(([field, value]) => {
    const id = secretIds[field]
    // A reference in such a field would be lost, so fields that are renewed are declared and take none.
    if (id === undefined || !renews?.includes(field))
      throw new Error(`${connector} renewed a credential field that is not set or not among those that it renews`)
    return { id, value }
  })
  if (isStaged) await vault.stage(versions)
  else await vault.addVersions(versions)
}

/** The settings, as this version of the connector reads them. */
export function readConfig(connector: Connector, row: Stored): Record<string, unknown> {
  const result = connector.config.safeParse(JSON.parse(row.config))
  if (result.success) return result.data as Record<string, unknown>
  throw new Problem('conflict', 'The settings of this connection do not fit this version; edit the connection')
}

/** Ends a session that stands, so that none is left behind; one that cannot be ended ends by itself. */
export async function signOut(
  sessions: Sessions,
  row: Stored,
  connector: Connector,
  client: HttpClient,
  id: string = row.id,
): Promise<void> {
  if (!connector.signOut || !sessions.isOpen(id)) return
  const http = client.forCall({ signal: AbortSignal.timeout(2000) })
  await connector.signOut({ config: readConfig(connector, row), http }).catch(() => {})
}
