import { hash, randomBytes } from 'node:crypto'
import type { Ca } from '../lib/ca.ts'
import { movableClock, type Reply, type SimRequest, startServer } from '../lib/server.ts'
import { verify } from '../zadara-object/sigv4.ts'

export type StoredObject = {
  readonly body: Buffer
  readonly mode: string | undefined
  readonly retainUntil: string | undefined
}

type Options = {
  readonly port?: number
  readonly ca?: Ca
  readonly region?: string
  /** False: the bucket was made without object lock. */
  readonly isLocked?: boolean
}

const space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
const bucket = 'atlas-audit'

/**
 * One bucket with object lock, as S3 behaves where a writer of locked objects meets it: signatures, checksums, the rules of the lock's
 * headers, and writes on condition that nothing is there. Objects stay in memory.
 */
export async function startLockedBucket({ port, ca, region = 'eu-central-1', isLocked = true }: Options = {}) {
  const clock = movableClock()
  const accessKeyId = `AKIA${randomBytes(8).toString('hex').toUpperCase()}`
  const secretAccessKey = randomBytes(30).toString('base64')
  const keys = new Map([[accessKeyId, { secretKey: secretAccessKey, mayWrite: true }]])
  const objects = new Map<string, StoredObject>()
  const refused: string[] = []

  function put(key: string, { headers, bytes }: SimRequest): Reply {
    const wanted = lockOf(headers)
    const fault = wanted && lockFault(wanted)
    if (fault) return fault
    const checksum = headers['x-amz-checksum-sha256']
    if (wanted && checksum === undefined && headers['content-md5'] === undefined)
      return failed(
        400,
        'InvalidRequest',
        'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters',
      )
    if (checksum !== undefined && checksum !== hash('sha256', bytes, 'base64'))
      return failed(400, 'BadDigest', 'The SHA256 you specified did not match the calculated checksum.')
    const condition = headers['if-none-match']
    if (condition !== undefined && condition !== '*')
      return failed(501, 'NotImplemented', 'A header is not implemented')
    if (condition === '*' && objects.has(key))
      return failed(412, 'PreconditionFailed', 'At least one of the pre-conditions you specified did not hold')
    objects.set(key, { body: bytes, mode: wanted?.mode, retainUntil: wanted?.until })
    return { status: 200, headers: { etag: `"${hash('md5', bytes)}"` }, body: '' }
  }

  function lockFault({ mode, until }: { mode: string; until: string }): Reply | undefined {
    if (!isLocked) return failed(400, 'InvalidRequest', 'Bucket is missing Object Lock Configuration')
    if (mode === '' || until === '')
      return failed(
        400,
        'InvalidArgument',
        'x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied',
      )
    if (!/^(COMPLIANCE|GOVERNANCE)$/.test(mode)) return failed(400, 'InvalidArgument', 'Unknown wormMode directive.')
    if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(until) || !(Date.parse(until) > clock.now().getTime()))
      return failed(400, 'InvalidArgument', 'The retain until date must be in the future!')
    return undefined
  }

  function readLock(): Reply {
    if (!isLocked)
      return failed(
        404,
        'ObjectLockConfigurationNotFoundError',
        'Object Lock configuration does not exist for this bucket',
      )
    return xml(
      200,
      `<ObjectLockConfiguration ${space}><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>`,
    )
  }

  function answer(request: SimRequest): Reply {
    const signed = verify(request, { keys, region, now: clock.now })
    if ('code' in signed) return failed(signed.status, signed.code, signed.message)
    const [, name, key = ''] = /^\/([^/]*)\/?(.*)$/.exec(request.path) ?? []
    if (name !== bucket) return failed(404, 'NoSuchBucket', 'The specified bucket does not exist')
    if (key === '' && request.method === 'GET' && request.query.has('object-lock')) return readLock()
    if (key !== '' && request.method === 'PUT') return put(decodeURIComponent(key), request)
    if (key !== '' && request.method === 'GET') {
      const found = objects.get(decodeURIComponent(key))
      if (!found) return failed(404, 'NoSuchKey', 'The specified key does not exist.')
      return { status: 200, headers: { 'content-type': 'application/octet-stream' }, bytes: found.body }
    }
    return failed(501, 'NotImplemented', 'Not simulated')
  }

  function handle(request: SimRequest): Reply {
    const reply = answer(request)
    const [, code] = /<Code>(\w+)</.exec(String(reply.body)) ?? []
    if (reply.status >= 400 && code !== undefined) refused.push(code)
    return reply
  }

  const server = await startServer({ handle, clock, ...(port !== undefined && { port }), ...(ca && { ca }) })
  return {
    ...server,
    /** The bucket's own URL. */
    url: `${server.origin}/${bucket}`,
    region,
    credential: { accessKeyId, secretAccessKey },
    objects: objects as ReadonlyMap<string, StoredObject>,
    /** Puts something there without asking anybody. */
    plant: (key: string, body: string) =>
      objects.set(key, { body: Buffer.from(body), mode: undefined, retainUntil: undefined }),
    /** The codes of what was refused. */
    refused: refused as readonly string[],
  }
}

function lockOf(headers: SimRequest['headers']): { mode: string; until: string } | undefined {
  const [mode, until] = ['x-amz-object-lock-mode', 'x-amz-object-lock-retain-until-date'].map((name) => headers[name])
  return mode === undefined && until === undefined
    ? undefined
    : { mode: String(mode ?? ''), until: String(until ?? '') }
}

function failed(status: number, code: string, message: string): Reply {
  return xml(status, `<Error><Code>${code}</Code><Message>${message}</Message><RequestId>0</RequestId></Error>`)
}

function xml(status: number, body: string): Reply {
  const text = `<?xml version="1.0" encoding="UTF-8"?>\n${body}`
  return { status, headers: { 'content-type': 'application/xml' }, body: text }
}
