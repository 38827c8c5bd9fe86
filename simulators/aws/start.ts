import { randomBytes } from 'node:crypto'
import type { Ca } from '../lib/ca.ts'
import { json, movableClock, type SimRequest, startServer } from '../lib/server.ts'
import { makeApi } from './api.ts'
import { makeKms } from './kms.ts'
import { makeSecretsManager } from './secrets-manager.ts'
import type { Identity } from './sigv4.ts'

export type AwsOptions = {
  readonly port?: number
  readonly ca?: Ca
  readonly clock?: ReturnType<typeof movableClock>
  readonly region?: string
}

export type Aws = Awaited<ReturnType<typeof startAws>>

const account = '111122223333'

/** Starts simulated AWS services on https://127.0.0.1:<port>, told apart by `X-Amz-Target`; every signature is checked. */
export async function startAws({ port, ca, clock = movableClock(), region = 'eu-central-1' }: AwsOptions = {}) {
  const kms = makeKms({ region, account })
  const secrets = makeSecretsManager({ region, account, now: clock.now })
  const [atlas, other] = [kms.make('alias/atlas'), kms.make('alias/other')]
  const identities: Identity[] = []
  function makeUser(name: string, allowed: readonly string[], sessionToken?: string): Identity {
    const user: Identity = {
      name,
      accessKeyId: `AKIA${randomBytes(8).toString('hex').toUpperCase()}`,
      secretAccessKey: randomBytes(30).toString('base64'),
      ...(sessionToken !== undefined && { sessionToken }),
      allowed,
    }
    identities.push(user)
    return user
  }
  const credential = makeUser('atlas', ['kms:Encrypt', 'kms:Decrypt'])
  const handle = makeApi({ services: [kms.service, secrets.service], identities, region, account, now: clock.now })
  /** `POST /__sim/key-state?key=&state=` */
  function admin({ method, path, query }: SimRequest) {
    if (method !== 'POST' || path !== '/__sim/key-state') return undefined
    kms.setState(query.get('key') ?? '', (query.get('state') ?? 'Enabled') as 'Enabled')
    return json(200, { ok: true })
  }

  const server = await startServer({
    clock,
    handle,
    admin,
    ownFaults: ['throttled'],
    ...(port !== undefined && { port }),
    ...(ca && { ca }),
  })
  return {
    url: server.origin,
    caPem: server.caPem,
    region,
    account,
    /** May use KMS to encrypt and decrypt. */
    credential,
    makeUser,
    /** The keys are taken away. */
    revoke: (user: Identity) => identities.splice(identities.indexOf(user), 1),
    kms,
    secrets,
    keys: { atlas, other },
    adminToken: server.adminToken,
    requests: server.requests,
    fault: server.faults.plan,
    faults: server.faults,
    forward: clock.forward,
    stop: server.stop,
  }
}
