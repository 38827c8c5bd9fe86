import type { Reply, SimRequest } from '../lib/server.ts'
import { type Bucket, makeObjects, type Stored } from './buckets.ts'
import { type Key, type Refusal, verify } from './sigv4.ts'

type Parts = {
  readonly buckets: Map<string, Bucket>
  readonly keys: ReadonlyMap<string, Key>
  readonly region: string
  /** Older Swift cannot do bucket policies. */
  readonly hasPolicies: boolean
  readonly now: () => Date
}

const space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'

/** S3 as OpenStack Swift's middleware speaks it, with the buckets in the path. */
export function makeApi({ buckets, keys, region, hasPolicies, now }: Parts) {
  function service(): Reply {
    const rows = [...buckets.values()].map(
      ({ name, createdAt }) =>
        `<Bucket><Name>${escaped(name)}</Name><CreationDate>${createdAt.toISOString()}</CreationDate></Bucket>`,
    )
    const owner = '<Owner><ID>atlas</ID><DisplayName>atlas</DisplayName></Owner>'
    const body = `<ListAllMyBucketsResult ${space}>${owner}<Buckets>${rows.join('')}</Buckets></ListAllMyBucketsResult>`
    return { ...xml(200, body), items: rows.length }
  }

  function readBucket(bucket: Bucket, { method, query, fault }: SimRequest): Reply {
    if (method === 'HEAD') return { status: 200, body: '' }
    if (query.has('versioning')) {
      const status = bucket.versioning ? `<Status>${bucket.versioning}</Status>` : ''
      return xml(200, `<VersioningConfiguration ${space}>${status}</VersioningConfiguration>`)
    }
    if (query.has('policy')) {
      if (!hasPolicies) return failed(501, 'NotImplemented', 'The requested resource is not implemented')
      return bucket.policy
        ? { status: 200, body: JSON.stringify(bucket.policy) }
        : failed(404, 'NoSuchBucketPolicy', 'The bucket policy does not exist')
    }
    if (query.get('list-type') !== '2') return failed(501, 'NotImplemented', 'Only the second list is simulated')
    return list(bucket, query, fault)
  }

  function write(name: string, bucket: Bucket | undefined, { method, query, body }: SimRequest): Reply {
    if (method !== 'PUT') return failed(405, 'MethodNotAllowed', 'The specified method is not allowed.')
    if (!bucket) {
      if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name)) return failed(400, 'InvalidBucketName', 'Not a bucket name')
      const wanted = /<LocationConstraint>([^<]*)<\/LocationConstraint>/.exec(body)?.[1]
      if ((wanted ?? 'us-east-1') !== region)
        return failed(400, 'InvalidLocationConstraint', 'The specified location constraint is not valid.')
      const objects = makeObjects({ count: 0, keyOf: () => '' }, now(), 1)
      const made: Bucket = {
        name,
        createdAt: now(),
        versioning: undefined,
        policy: undefined,
        isLocked: false,
        objects,
      }
      buckets.set(name, made)
      return { status: 200, headers: { location: `/${name}` }, body: '' }
    }
    if (!query.has('versioning')) return failed(409, 'BucketAlreadyOwnedByYou', 'You own it already.')
    const status = /<Status>(Enabled|Suspended)<\/Status>/.exec(body)?.[1]
    if (status === undefined) return failed(400, 'MalformedXML', 'The XML you provided was not well-formed')
    bucket.versioning = status as 'Enabled' | 'Suspended'
    return { status: 200, body: '' }
  }

  function object(bucket: Bucket, key: string, { method, body }: SimRequest): Reply {
    const found = bucket.objects.get(key)
    if (method === 'PUT') {
      bucket.objects.put(key, Buffer.byteLength(body), now())
      return { status: 200, body: '' }
    }
    if (method !== 'HEAD') return failed(501, 'NotImplemented', 'Contents are not simulated')
    if (!found) return { status: 404, body: '' }
    const headers = {
      'content-type': 'application/octet-stream',
      etag: `"${found.etag}"`,
      'last-modified': found.modifiedAt.toUTCString(),
      ...(bucket.versioning === 'Enabled' && { 'x-amz-version-id': `v${found.etag.slice(0, 8)}` }),
    }
    return { status: 200, headers, body: ' '.repeat(found.size) }
  }

  function answer(request: SimRequest): Reply {
    const { method, path, headers, fault } = request
    const refused = chunked(headers) ?? verify(request, { keys, region, now })
    if ('code' in refused) return failed(refused.status, refused.code, refused.message, refused)
    if (fault === 'slow-down') return failed(503, 'SlowDown', 'Please reduce your request rate.')
    if (fault === 'odd-error') return failed(500, 'InternalError', `Failed on storage01.corp.example with ${path}`)
    const [, name = '', key = ''] = /^\/([^/]*)\/?(.*)$/.exec(path) ?? []
    const isRead = method === 'GET' || method === 'HEAD'
    if (!isRead && !refused.mayWrite) return failed(403, 'AccessDenied', 'Access Denied.')
    if (name === '') return service()
    const bucket = buckets.get(decodeURIComponent(name))
    if (bucket?.isLocked && !refused.mayWrite) return failed(403, 'AccessDenied', 'Access Denied.')
    if (key === '' && !isRead) return write(decodeURIComponent(name), bucket, request)
    if (!bucket) return failed(404, 'NoSuchBucket', 'The specified bucket does not exist.')
    return key === '' ? readBucket(bucket, request) : object(bucket, decodeURIComponent(key), request)
  }

  return function handle(request: SimRequest): Reply {
    const reply = answer(request)
    const isBare = request.method === 'HEAD' && reply.status >= 400
    return isBare ? { status: reply.status, headers: reply.headers ?? {}, body: '' } : reply
  }
}

/** Newer SDKs send checksums behind the body, in chunks; Swift does not take them. */
function chunked(headers: SimRequest['headers']): Refusal | undefined {
  const isChunked =
    /aws-chunked/.test(String(headers['content-encoding'] ?? '')) ||
    /^STREAMING-/.test(String(headers['x-amz-content-sha256'] ?? '')) ||
    headers['x-amz-decoded-content-length'] !== undefined
  const message = 'Transferring payloads in multiple chunks using aws-chunked is not supported.'
  return isChunked ? { status: 501, code: 'NotImplemented', message } : undefined
}

function list({ name, objects }: Bucket, query: URLSearchParams, fault: string | undefined): Reply {
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter') ?? ''
  const limit = Math.min(Number(query.get('max-keys') ?? 1000), 1000)
  const token = query.get('continuation-token')
  const marker = token === null ? '' : Buffer.from(token, 'base64').toString('utf8')
  const items: (Stored | string)[] = []
  let isTruncated = false
  for (const one of objects.after(marker)) {
    if (!one.key.startsWith(prefix) || (delimiter !== '' && marker.endsWith(delimiter) && one.key.startsWith(marker)))
      continue
    const cut = delimiter === '' ? -1 : one.key.indexOf(delimiter, prefix.length)
    const item = cut < 0 ? one : one.key.slice(0, cut + delimiter.length)
    if (items.at(-1) === item) continue
    if (items.length === limit) {
      isTruncated = true
      break
    }
    items.push(item)
  }
  return { ...xml(200, listXml(name, items, { isTruncated, query, fault })), items: items.length }
}

type Listing = { readonly isTruncated: boolean; readonly query: URLSearchParams; readonly fault: string | undefined }

function listXml(name: string, items: readonly (Stored | string)[], { isTruncated, query, fault }: Listing): string {
  const isUrl = query.get('encoding-type') === 'url'
  const shown = (key: string) => (isUrl ? encodeURIComponent(key).replaceAll('%2F', '/') : escaped(key))
  const last = items.at(-1)
  const marker = last === undefined || typeof last === 'string' ? (last ?? '') : last.key
  const next = fault === 'same-token' ? query.get('continuation-token') : Buffer.from(marker).toString('base64')
  const rows = items.map((item) =>
    typeof item === 'string'
      ? `<CommonPrefixes><Prefix>${shown(item)}</Prefix></CommonPrefixes>`
      : `<Contents><Key>${shown(item.key)}</Key><LastModified>${item.modifiedAt.toISOString()}</LastModified><ETag>&quot;${item.etag}&quot;</ETag><Size>${item.size}</Size><StorageClass>STANDARD</StorageClass></Contents>`,
  )
  const token =
    isTruncated && fault !== 'no-token' && next ? `<NextContinuationToken>${escaped(next)}</NextContinuationToken>` : ''
  const isMore = isTruncated || fault === 'same-token' || fault === 'no-token'
  const head = `<Name>${escaped(name)}</Name><KeyCount>${items.length}</KeyCount>${isUrl ? '<EncodingType>url</EncodingType>' : ''}<IsTruncated>${isMore}</IsTruncated>`
  return `<ListBucketResult ${space}>${head}${token}${rows.join('')}</ListBucketResult>`
}

function failed(status: number, code: string, message: string, more: { readonly region?: string } = {}): Reply {
  const region = more.region === undefined ? '' : `<Region>${escaped(more.region)}</Region>`
  const body = `<Code>${code}</Code><Message>${escaped(message)}</Message>${region}<RequestId>tx0000</RequestId>`
  return xml(status, `<Error>${body}</Error>`)
}

function xml(status: number, body: string): Reply {
  const text = `<?xml version='1.0' encoding='UTF-8'?>\n${body}`
  return { status, headers: { 'content-type': 'application/xml' }, body: text }
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
