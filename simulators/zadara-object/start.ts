import { randomBytes } from 'node:crypto'
import type { Ca } from '../lib/ca.ts'
import { makeCompany } from '../lib/company.ts'
import { json, movableClock, type SimRequest, startServer } from '../lib/server.ts'
import type { Truth } from '../lib/truth.ts'
import { makeApi } from './api.ts'
import { makeBuckets } from './buckets.ts'

export type ObjectOptions = {
  readonly truth?: Truth
  readonly port?: number
  readonly ca?: Ca
  readonly clock?: ReturnType<typeof movableClock>
  /** `us-east-1` unless told. */
  readonly region?: string
  /** False: bucket policies are not implemented, as in OpenStack Swift. */
  readonly hasPolicies?: boolean
}

export type ObjectStorage = Awaited<ReturnType<typeof startObjectStorage>>

/** Starts a simulated object storage on https://127.0.0.1:<port> that speaks S3 and checks every signature. */
export async function startObjectStorage(options: ObjectOptions = {}) {
  const { truth = makeCompany(), port, ca, clock = movableClock(), region = 'us-east-1', hasPolicies = true } = options
  const buckets = new Map(makeBuckets(truth).map((bucket) => [bucket.name, bucket]))
  const makeKey = () => ({ accessKey: randomBytes(16).toString('hex'), secretKey: randomBytes(16).toString('hex') })
  const [reader, writer] = [makeKey(), makeKey()]
  const keys = new Map([
    [reader.accessKey, { secretKey: reader.secretKey, mayWrite: false }],
    [writer.accessKey, { secretKey: writer.secretKey, mayWrite: true }],
  ])
  const handle = makeApi({ buckets, region, hasPolicies, now: clock.now, keys })
  const switches = {
    put: (bucket: string, key: string, size: number): void => buckets.get(bucket)?.objects.put(key, size, clock.now()),
    remove: (bucket: string, key: string): void => buckets.get(bucket)?.objects.remove(key),
    removeBucket: (bucket: string): boolean => buckets.delete(bucket),
    setPolicy: (name: string, policy: object | undefined): void => {
      const bucket = buckets.get(name)
      if (bucket) bucket.policy = policy
    },
    /** The reader's key is taken away. */
    revoke: (): boolean => keys.delete(reader.accessKey),
    sizeOf: (bucket: string) => buckets.get(bucket)?.objects.sum(),
  }
  /** `POST /__sim/put?bucket=&key=&size=` · `POST /__sim/remove?bucket=&key=` · `POST /__sim/remove-bucket?bucket=` */
  function admin({ method, path, query }: SimRequest) {
    const [bucket = '', key = ''] = [query.get('bucket') ?? '', query.get('key') ?? '']
    if (method !== 'POST' || !buckets.has(bucket)) return undefined
    if (path === '/__sim/put') switches.put(bucket, key, Number(query.get('size') ?? 1))
    else if (path === '/__sim/remove') switches.remove(bucket, key)
    else if (path === '/__sim/remove-bucket') switches.removeBucket(bucket)
    else return undefined
    return json(200, { ok: true })
  }

  const server = await startServer({
    clock,
    handle,
    admin,
    ownFaults: ['slow-down', 'odd-error', 'same-token', 'no-token'],
    ...(port !== undefined && { port }),
    ...(ca && { ca }),
  })
  return {
    url: server.origin,
    caPem: server.caPem,
    config: { url: server.origin, region },
    /** Keys of a user who may only read, and not everything. */
    credential: reader,
    writeCredential: writer,
    buckets: buckets as ReadonlyMap<string, unknown>,
    adminToken: server.adminToken,
    requests: server.requests,
    fault: server.faults.plan,
    faults: server.faults,
    forward: clock.forward,
    ...switches,
    stop: server.stop,
  }
}
