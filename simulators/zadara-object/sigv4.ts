import { createHash, createHmac } from 'node:crypto'
import type { SimRequest } from '../lib/server.ts'

export type Key = { readonly secretKey: string; readonly mayWrite: boolean }
/** An S3 error: HTTP status, code, message, and elements that only some errors have. */
export type Refusal = {
  readonly status: number
  readonly code: string
  readonly message: string
  readonly region?: string
}

type Rules = { readonly keys: ReadonlyMap<string, Key>; readonly region: string; readonly now: () => Date }

const skewMs = 15 * 60_000
const form =
  /^AWS4-HMAC-SHA256 Credential=([^/,\s]+)\/(\d{8})\/([^/,\s]+)\/s3\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/

/**
 * Checks AWS Signature Version 4 as a server does, written apart from the connector that it checks: from the parsed request
 * back to the one canonical form. Answers the key, or the refusal.
 */
export function verify(request: SimRequest, { keys, region, now }: Rules): Key | Refusal {
  const { headers, bytes } = request
  const authorization = headers['authorization']
  if (authorization === undefined) return refusal(403, 'AccessDenied', 'Access Denied.')
  const [, access = '', day = '', scopeRegion = '', signedNames = '', signature = ''] = form.exec(authorization) ?? []
  if (access === '') return refusal(400, 'AuthorizationHeaderMalformed', 'The authorization header is malformed.')
  if (scopeRegion !== region)
    return {
      ...refusal(400, 'AuthorizationHeaderMalformed', `the region '${scopeRegion}' is wrong; expecting '${region}'`),
      region,
    }
  const hash = headers['x-amz-content-sha256']
  if (typeof hash !== 'string')
    return refusal(400, 'InvalidRequest', 'Missing required header for this request: x-amz-content-sha256')
  const stamp = String(headers['x-amz-date'] ?? '')
  const at = dateOf(stamp)
  if (!at || !stamp.startsWith(day)) return refusal(403, 'AccessDenied', 'AWS authentication requires a valid Date')
  if (Math.abs(at - now().getTime()) > skewMs)
    return refusal(
      403,
      'RequestTimeTooSkewed',
      'The difference between the request time and the current time is too large.',
    )
  const names = signedNames.split(';')
  const mustBeSigned = ['host', ...Object.keys(headers).filter((name) => name.startsWith('x-amz-'))]
  if (mustBeSigned.some((name) => !names.includes(name)))
    return refusal(403, 'AccessDenied', 'There were headers present in the request which were not signed')
  const key = keys.get(access)
  if (!key)
    return refusal(403, 'InvalidAccessKeyId', 'The AWS Access Key Id you provided does not exist in our records.')

  const scope = `${day}/${region}/s3/aws4_request`
  const text = `AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${digest(canonical(request, names, hash))}`
  let derived: Buffer = Buffer.from(`AWS4${key.secretKey}`)
  for (const part of [day, region, 's3', 'aws4_request', text])
    derived = createHmac('sha256', derived).update(part).digest()
  if (derived.toString('hex') !== signature)
    return refusal(
      403,
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided.',
    )
  if (hash !== 'UNSIGNED-PAYLOAD' && hash !== digest(bytes))
    return refusal(
      400,
      'XAmzContentSHA256Mismatch',
      "The provided 'x-amz-content-sha256' header does not match what was computed.",
    )
  return key
}

function canonical({ method, path, query, headers }: SimRequest, names: readonly string[], hash: string): string {
  const uri = quote(decodeURIComponent(path)).replaceAll('%2F', '/')
  const pairs = [...query].map(([name, value]) => [quote(name), quote(value)] as const)
  pairs.sort((a, b) => Buffer.compare(Buffer.from(a.join('\0')), Buffer.from(b.join('\0'))))
  const search = pairs.map((pair) => pair.join('=')).join('&')
  const values = names.map(
    (name) =>
      `${name}:${String(headers[name] ?? '')
        .trim()
        .replace(/\s+/g, ' ')}\n`,
  )
  return `${method}\n${uri}\n${search}\n${values.join('')}\n${names.join(';')}\n${hash}`
}

function quote(text: string): string {
  let out = ''
  for (const byte of Buffer.from(text)) {
    const char = String.fromCharCode(byte)
    out += /[A-Za-z0-9._~-]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return out
}

function dateOf(stamp: string): number | undefined {
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(stamp) ?? []
  return year === undefined ? undefined : Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
}

function digest(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}

function refusal(status: number, code: string, message: string): Refusal {
  return { status, code, message }
}
