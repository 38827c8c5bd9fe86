import type { Send } from '../../../lib/outbound.ts'
import { type AwsKeys, signV4 } from '../../../lib/sigv4.ts'
import { askJson, objectIn } from './asking.ts'
import type { ReferenceOf } from './reference.ts'
import { type Document, type Source, toValue, Unreadable } from './source.ts'

type Parts = {
  readonly send: Send & { readonly close: () => Promise<void> }
  /** Asked for each request: temporary keys are put anew in their place. @throws Unreadable */
  readonly keys: () => AwsKeys
  readonly region: string
  /** In place of the region's own address. */
  readonly endpoint?: string | undefined
  /** Names that may be read: `atlas/` everything that begins so, `atlas/lab` exactly that. */
  readonly names: readonly string[]
  readonly now: () => Date
}

const store = 'AWS Secrets Manager'

/** `awssm://name#key`: the current version in AWS Secrets Manager, whole or one member of its JSON object. */
export function makeAwsSource({ send, keys, region, names, now, ...parts }: Parts): Source<ReferenceOf<'awssm'>> {
  const url = parts.endpoint ?? `https://secretsmanager.${region}.amazonaws.com/`

  // https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
  async function fetch({ name }: ReferenceOf<'awssm'>): Promise<Document> {
    const body = JSON.stringify({ SecretId: name, VersionStage: 'AWSCURRENT' })
    const headers = signV4(keys(), {
      method: 'POST',
      url,
      headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'secretsmanager.GetSecretValue' },
      body,
      service: 'secretsmanager',
      region,
      now: now(),
    })
    const answer = await askJson(send, store, { url, headers, body })
    if (answer.status !== 200) throw new Unreadable(reasonOf(answer.status, answer.body['__type']))
    const { SecretString: text, CreatedDate: seconds } = answer.body
    if (typeof text !== 'string') throw new Unreadable('what is there is not text')
    return {
      valueOf: (reference) => toValue(reference.scheme === 'awssm' ? memberOf(text, reference.key) : undefined),
      ...(typeof seconds === 'number' && { changedAt: new Date(Math.round(seconds * 1000)).toISOString() }),
    }
  }

  return {
    refusal: ({ name }) =>
      names.some((allowed) => (allowed.endsWith('/') ? name.startsWith(allowed) : name === allowed))
        ? undefined
        : 'the name is not among those in ATLAS_REFERENCE_AWS_NAMES',
    documentOf: ({ name }) => name,
    fetch,
    close: () => send.close(),
  }
}

function memberOf(text: string, key: string | undefined): unknown {
  if (key === undefined) return text
  const members = objectIn(text)
  if (!members) throw new Unreadable('what is there is not a JSON object')
  if (!Object.hasOwn(members, key)) throw new Unreadable('there is no such key')
  return members[key]
}

const reasons: Readonly<Record<string, string>> = {
  ResourceNotFoundException: 'there is no secret with this name',
  InvalidRequestException: 'the secret is marked for deletion',
  AccessDeniedException: `${store} refuses it: the access key may not read this secret`,
  DecryptionFailure: `${store} cannot decrypt it: the access key may not use its KMS key`,
  ThrottlingException: `${store} is busy`,
  UnrecognizedClientException: `${store} does not know the access key`,
  InvalidSignatureException: `${store} does not accept the signature: check the secret access key and the clock`,
  ExpiredTokenException: 'the session of the access key has ended',
}

function reasonOf(status: number, type: unknown): string {
  // Some services put a namespace in front.
  const name =
    String(type ?? '')
      .split('#')
      .at(-1) ?? ''
  if (Object.hasOwn(reasons, name)) return reasons[name] ?? ''
  return `${store} failed (${/^\w{1,60}$/.test(name) ? name : status})`
}
