import { createHash, createHmac } from 'node:crypto'
import type { CredentialOf, Outgoing } from '../../core/connector.ts'
import type { Credential } from './settings.ts'

/**
 * The contract gives `authenticate` no settings, so each request brings its region in this header. The object storage ignores
 * it: what counts is the region inside the signature.
 */
export const regionHeader = 'x-atlas-region'

/** AWS Signature Version 4 in the Authorization header, with the hash of the body. Every try is signed anew, with its own time. */
export function authenticate(
  { accessKey, secretKey }: CredentialOf<typeof Credential>,
  { method, target, host, headers, body, now }: Outgoing,
): Record<string, string> {
  const payloadHash = sha256(body ?? '')
  const at = `${now.toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`
  const own = { 'x-amz-content-sha256': payloadHash, 'x-amz-date': at }
  const signed = {
    host,
    ...(headers['content-type'] !== undefined && { 'content-type': headers['content-type'] }),
    ...Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('x-amz-'))),
    ...own,
  }
  const region = headers[regionHeader] ?? 'us-east-1'
  const keys = { accessKey: accessKey.reveal(), secretKey: secretKey.reveal() }
  return { ...own, authorization: authorization({ method, target, headers: signed, payloadHash, at, region, ...keys }) }
}

export type Signing = {
  readonly method: string
  /** Path and query as they are sent. */
  readonly target: string
  /** All that are signed, lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly payloadHash: string
  /** `20130524T000000Z` */
  readonly at: string
  readonly region: string
  readonly accessKey: string
  readonly secretKey: string
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
export function authorization({ at, region, accessKey, secretKey, ...request }: Signing): string {
  const names = Object.keys(request.headers).sort()
  const scope = `${at.slice(0, 8)}/${region}/s3/aws4_request`
  const toSign = ['AWS4-HMAC-SHA256', at, scope, sha256(canonicalRequest(request, names))].join('\n')
  const key = [at.slice(0, 8), region, 's3', 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${secretKey}`)
  const signature = hmac(key, toSign).toString('hex')
  return `AWS4-HMAC-SHA256 Credential=${accessKey}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`
}

type Canonical = Pick<Signing, 'method' | 'target' | 'headers' | 'payloadHash'>

export function canonicalRequest(
  { method, target, headers, payloadHash }: Canonical,
  names: readonly string[],
): string {
  const [path = '', query = ''] = split(target, '?')
  const lines = names.map((name) => `${name}:${(headers[name] ?? '').trim().replaceAll(/ +/g, ' ')}\n`)
  return [method, canonicalPath(path), canonicalQuery(query), lines.join(''), names.join(';'), payloadHash].join('\n')
}

/** S3 encodes each byte of a path once and leaves its dots and slashes as they are. */
function canonicalPath(path: string): string {
  return path
    .split('/')
    .map((segment) => encode(decode(segment)))
    .join('/')
}

/** A `+` on the wire is a space; parameters are sorted by their encoded names, then values. */
function canonicalQuery(query: string): string {
  const pairs = query
    .split('&')
    .filter((part) => part !== '')
    .map((part) => split(part.replaceAll('+', ' '), '=').map((text) => encode(decode(text))))
    .map(([name = '', value = '']) => [name, value] as const)
  return pairs
    .sort(([a, x], [b, y]) => (a === b ? compare(x, y) : compare(a, b)))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

/** RFC 3986: everything but letters, digits and `-._~`. */
export function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    // A redirect may lead to a path that is not well encoded; it is signed as it stands.
    return text
  }
}

function split(text: string, at: string): readonly string[] {
  const index = text.indexOf(at)
  return index < 0 ? [text] : [text.slice(0, index), text.slice(index + at.length)]
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function sha256(body: string | Uint8Array): string {
  return createHash('sha256').update(body).digest('hex')
}
