import type { TestContext } from 'node:test'
import type { Connector, Cursor, SyncBatch } from '../core/connector.ts'
import { Secret } from '../core/secret.ts'
import { makeSessions } from '../features/connections/sessions.ts'
import { type HttpLimits, makeHttp } from '../lib/http-client.ts'

type Options = {
  /** With `url`; parsed by the connector's own schema. */
  readonly config: Record<string, unknown>
  readonly credential: Readonly<Record<string, string>>
  readonly caPem: string
  readonly limits?: Partial<HttpLimits>
  readonly now?: () => Date
}

/**
 * A connector with the real HTTP client against a simulator or a real system, signed in as the hub does it: for the tests of
 * one connector, without a database. `credential` is what is stored now; a sign-in that renews a field changes it.
 */
export function connectTo(t: Pick<TestContext, 'after'>, connector: Connector, options: Options) {
  const { caPem, limits, now = () => new Date() } = options
  const config = connector.config.parse(options.config) as Record<string, unknown>
  const credential = Object.fromEntries(
    Object.entries(options.credential).map(([field, text]) => [field, new Secret(text)]),
  )
  const sessions = makeSessions({ vault: { fingerprint: (value) => value.reveal(), hide: () => {} }, now })
  const { explain, clientCertificate } = connector
  const client = makeHttp({
    url: String(config['url']),
    caPem,
    async sign(request) {
      const signing = { id: 'con_test', connector, config, credential, http: client.forCall({ unsigned: true }) }
      const keep = async (fields: Readonly<Record<string, Secret>>) => void Object.assign(credential, fields)
      const held = connector.signIn && (await sessions.get({ ...signing, keep }))
      const body = connector.signBody?.(credential, request, held?.session)
      const whole = body === undefined ? request : { ...request, body }
      const headers = connector.authenticate(credential, whole, held?.session)
      return { headers, ...(body !== undefined && { body }), ...(held && { over: held.over }) }
    },
    ...(explain && { explain }),
    ...(clientCertificate && { clientCertificate: async () => clientCertificate(credential) }),
    allowLoopback: true,
    userAgent: 'atlas-test',
    now,
    limits: { retryMs: 5, breakerFailures: 1000, ...limits },
  })
  t.after(client.close)
  const signal = new AbortController().signal
  const http = client.forCall({ signal, requestId: 'req_test' })
  const context = { config, http, signal }
  return {
    config,
    credential,
    http,
    context,
    check: () => connector.check(context),
    /** Reads to the end; all batches, the observations in order, and the next cursor. */
    async sync(cursor?: Cursor) {
      const batches: SyncBatch[] = []
      const steps = connector.sync?.({ ...context, now, ...(cursor && { cursor }) })
      if (!steps) throw new Error(`${connector.id} has nothing to sync`)
      for (;;) {
        const step = await steps.next()
        if (step.done)
          return { cursor: step.value, batches, observations: batches.flatMap(({ observations = [] }) => observations) }
        batches.push(step.value)
      }
    },
    signOut: async () => connector.signOut?.({ config, http }),
  }
}
