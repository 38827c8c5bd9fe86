import { canonicalJson } from '../../../lib/canonical.ts'
import type { OutboundAnswer, Send } from '../../../lib/outbound.ts'
import { type AwsKeys, signV4 } from '../../../lib/sigv4.ts'
import { reasonOfSilence, type Seal, SealError, type SealReason } from './seal.ts'

export type KmsSettings = {
  readonly send: Send
  /** The service's own address for the region, unless another is given (a VPC endpoint). */
  readonly endpoint?: string | undefined
  readonly region: string
  /** Id, ARN or alias. */
  readonly key: string
  readonly keys: AwsKeys
  readonly now: () => Date
}

const timeoutMs = 10_000

/** AWS KMS: `Encrypt` and `Decrypt`, bound by the encryption context. https://docs.aws.amazon.com/kms/latest/APIReference/ */
export function makeKmsSeal({ send, endpoint, region, key, keys, now }: KmsSettings): Seal {
  const self = { kind: 'aws-kms', keyName: key } as const
  const url = endpoint ?? `https://kms.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}/`

  async function ask(operation: 'Encrypt' | 'Decrypt', input: object): Promise<Record<string, unknown>> {
    const body = canonicalJson(input)
    const headers = {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': `TrentService.${operation}`,
    }
    const signed = signV4(keys, { method: 'POST', url, headers, body, service: 'kms', region, now: now() })
    let answer: OutboundAnswer
    try {
      answer = await send({ url, headers: signed, body, timeoutMs })
    } catch (cause) {
      throw new SealError(reasonOfSilence(cause), self, { cause })
    }
    const said = parse(answer)
    if (answer.status === 200) return said
    throw new SealError(reasonOf(answer.status, said), self)
  }

  return {
    ...self,
    async wrap(plain, binding) {
      const input = { KeyId: key, Plaintext: plain.toString('base64'), EncryptionContext: binding }
      const { CiphertextBlob: wrapped } = await ask('Encrypt', input)
      if (typeof wrapped !== 'string' || wrapped === '') throw new SealError('failed', self)
      return wrapped
    },
    async unwrap(wrapped, binding) {
      // The key is named, so that KMS does not take whichever key the ciphertext says.
      const { Plaintext: plain } = await ask('Decrypt', {
        CiphertextBlob: wrapped,
        KeyId: key,
        EncryptionContext: binding,
      })
      if (typeof plain !== 'string') throw new SealError('failed', self)
      return Buffer.from(plain, 'base64')
    },
  }
}

function parse({ body }: OutboundAnswer): Record<string, unknown> {
  try {
    return (JSON.parse(body.toString('utf8')) ?? {}) as Record<string, unknown>
  } catch {
    return {}
  }
}

const ofType: Readonly<Record<string, SealReason>> = {
  NotFoundException: 'no-such-key',
  DisabledException: 'key-disabled',
  KMSInvalidStateException: 'key-disabled',
  InvalidCiphertextException: 'wrong-ciphertext',
  IncorrectKeyException: 'wrong-ciphertext',
  ValidationException: 'wrong-ciphertext',
  AccessDeniedException: 'denied',
  UnrecognizedClientException: 'denied',
  InvalidSignatureException: 'denied',
  IncompleteSignatureException: 'denied',
  MissingAuthenticationTokenException: 'denied',
  ExpiredTokenException: 'denied',
  ThrottlingException: 'busy',
  LimitExceededException: 'busy',
  KeyUnavailableException: 'unreachable',
  DependencyTimeoutException: 'unreachable',
  KMSInternalException: 'unreachable',
}

function reasonOf(status: number, { __type: type }: Record<string, unknown>): SealReason {
  // Some say it with the name of the model in front: com.amazonaws.kms#NotFoundException.
  const name = String(type ?? '').replace(/^.*#/, '')
  if (Object.hasOwn(ofType, name)) return ofType[name] as SealReason
  if (status === 429 || status === 503) return 'busy'
  return status >= 500 ? 'unreachable' : status === 403 ? 'denied' : 'failed'
}
