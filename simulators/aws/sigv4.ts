import { createHash, createHmac } from 'node:crypto'
import type { SimRequest } from '../lib/server.ts'

/** A user with long-lived keys, or a session with a token. `name` stands in messages. */
export type Identity = {
  readonly name: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  /** `kms:Decrypt`, `secretsmanager:*` …; what is not listed is refused. */
  readonly allowed: readonly string[]
}

export type Refusal = { readonly status: number; readonly type: string; readonly message: string }

type Rules = {
  readonly identities: readonly Identity[]
  readonly region: string
  readonly service: string
  readonly now: () => Date
}

const skewMs = 5 * 60_000

/**
 * Checks AWS Signature Version 4 as the JSON services do, written apart from what it checks: from the received request back to the
 * canonical form. Answers who signed, or the refusal in the service's words.
 */
export function verify(request: SimRequest, { identities, region, service, now }: Rules): Identity | Refusal {
  const { headers } = request
  const authorization = headers['authorization']
  if (authorization === undefined)
    return refusal('MissingAuthenticationTokenException', 'Request is missing Authentication Token')
  const fields = new Map(
    authorization
      .replace(/^AWS4-HMAC-SHA256\s+/, '')
      .split(/,\s*/)
      .map((part) => part.split(/=(.*)/s) as [string, string]),
  )
  const [access, day, scopeRegion, scopeService, end] = (fields.get('Credential') ?? '').split('/')
  const names = (fields.get('SignedHeaders') ?? '').split(';')
  const signature = fields.get('Signature') ?? ''
  if (!authorization.startsWith('AWS4-HMAC-SHA256') || end !== 'aws4_request' || signature === '')
    return refusal('IncompleteSignatureException', 'Authorization header requires Credential, SignedHeaders, Signature')
  if (scopeRegion !== region)
    return refusal('InvalidSignatureException', `Credential should be scoped to a valid region. `)
  if (scopeService !== service)
    return refusal('InvalidSignatureException', `Credential should be scoped to correct service: '${service}'. `)
  const stamp = String(headers['x-amz-date'] ?? '')
  const at = dateOf(stamp)
  if (at === undefined || stamp.slice(0, 8) !== day)
    return refusal('IncompleteSignatureException', 'Date in Credential scope does not match YYYYMMDD from ISO-8601')
  if (at < now().getTime() - skewMs)
    return refusal('InvalidSignatureException', `Signature expired: ${stamp} is now earlier than the allowed time`)
  if (at > now().getTime() + skewMs)
    return refusal('InvalidSignatureException', `Signature not yet current: ${stamp} is still later than allowed`)
  const identity = identities.find(({ accessKeyId }) => accessKeyId === access)
  if (!identity || headers['x-amz-security-token'] !== identity.sessionToken)
    return refusal('UnrecognizedClientException', 'The security token included in the request is invalid.')
  const unsigned = ['host', ...Object.keys(headers).filter((name) => name.startsWith('x-amz-'))].filter(
    (name) => !names.includes(name),
  )
  if (unsigned.length > 0)
    return refusal('InvalidSignatureException', `'${unsigned[0]}' must be a 'SignedHeader' in the Authorization.`)
  const scope = [day, region, service, 'aws4_request']
  const text = ['AWS4-HMAC-SHA256', stamp, scope.join('/'), digest(canonical(request, names))].join('\n')
  let derived = Buffer.from(`AWS4${identity.secretAccessKey}`)
  for (const part of [...scope, text]) derived = createHmac('sha256', derived).update(part).digest()
  if (derived.toString('hex') !== signature)
    return refusal(
      'InvalidSignatureException',
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
    )
  return identity
}

function canonical({ method, path, query, headers, body }: SimRequest, names: readonly string[]): string {
  // What arrives is encoded once; the services that are not S3 sign it encoded twice.
  const uri = path.split('/').map(quote).join('/')
  const pairs = [...query].map(([name, value]) => [quote(name), quote(value)] as const)
  pairs.sort(
    ([a, x], [b, y]) =>
      Buffer.compare(Buffer.from(a), Buffer.from(b)) || Buffer.compare(Buffer.from(x), Buffer.from(y)),
  )
  const lines = names.map(
    (name) =>
      `${name}:${String(headers[name] ?? '')
        .trim()
        .replace(/ +/g, ' ')}\n`,
  )
  return [
    method,
    uri,
    pairs.map((pair) => pair.join('=')).join('&'),
    lines.join(''),
    names.join(';'),
    digest(body),
  ].join('\n')
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

const digest = (text: string): string => createHash('sha256').update(text).digest('hex')

const refusal = (type: string, message: string): Refusal => ({ status: 400, type, message })
