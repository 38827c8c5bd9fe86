import { createHmac, hash } from 'node:crypto'
import type { Secret } from '../core/secret.ts'

export type AwsKeys = {
  readonly accessKeyId: string
  readonly secretAccessKey: Secret
  readonly sessionToken?: Secret | undefined
}

export type Signable = {
  readonly method: string
  readonly url: string
  /** Lower-case names; all of them are signed. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array | undefined
  readonly service: string
  readonly region: string
  readonly now: Date
}

/**
 * The headers of `request` together with those that sign it: AWS Signature Version 4 in the Authorization header. Every try is signed anew,
 * with its own time. https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
 */
export function signV4(keys: AwsKeys, request: Signable): Record<string, string> {
  const { method, url, headers = {}, body = '', service, region, now } = request
  const { host, pathname, search } = new URL(url)
  const at = `${now.toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`
  const payloadHash = hash('sha256', body, 'hex')
  const signed: Record<string, string> = {
    ...headers,
    host,
    'x-amz-date': at,
    // S3 wants it; the others accept that it is signed only when it is sent.
    ...(service === 's3' && { 'x-amz-content-sha256': payloadHash }),
    ...(keys.sessionToken && { 'x-amz-security-token': keys.sessionToken.reveal() }),
  }
  const names = Object.keys(signed).sort()
  const canonical = [
    method,
    canonicalPath(pathname, service),
    canonicalQuery(search.slice(1)),
    ...names.map((name) => `${name}:${(signed[name] ?? '').trim().replaceAll(/ +/g, ' ')}`),
    '',
    names.join(';'),
    payloadHash,
  ].join('\n')
  const day = at.slice(0, 8)
  const scope = `${day}/${region}/${service}/aws4_request`
  const toSign = ['AWS4-HMAC-SHA256', at, scope, hash('sha256', canonical, 'hex')].join('\n')
  const first = `AWS4${keys.secretAccessKey.reveal()}`
  const key = [day, region, service, 'aws4_request'].reduce<string | Buffer>(hmac, first)
  const { host: _host, ...sent } = signed // the client writes it itself
  return {
    ...sent,
    authorization: `AWS4-HMAC-SHA256 Credential=${keys.accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${hmac(key, toSign).toString('hex')}`,
  }
}

/** S3 encodes each segment once, every other service encodes what is encoded already once more. */
function canonicalPath(path: string, service: string): string {
  const segments = path.split('/')
  return segments.map((segment) => encode(service === 's3' ? decodeURIComponent(segment) : segment)).join('/')
}

/** Sorted by encoded name, then value. */
function canonicalQuery(query: string): string {
  const pairs = [...new URLSearchParams(query)].map(([name, value]) => `${encode(name)}=${encode(value)}`)
  // `=` sorts above some characters of a name, so names and values are compared apart.
  const split = pairs.map((pair) => pair.split('=') as [string, string])
  split.sort(([a, x], [b, y]) => compare(a, b) || compare(x, y))
  return split.map((pair) => pair.join('=')).join('&')
}

/** RFC 3986: everything but letters, digits and `-._~`. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
