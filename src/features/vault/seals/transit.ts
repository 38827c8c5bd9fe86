import type { Secret } from '../../../core/secret.ts'
import { canonicalJson } from '../../../lib/canonical.ts'
import type { OutboundAnswer, Send } from '../../../lib/outbound.ts'
import { type Binding, reasonOfSilence, type Seal, SealError, type SealReason } from './seal.ts'

export type TransitSettings = {
  readonly send: Send
  /** https, or http on loopback; checked by the configuration. */
  readonly url: string
  readonly mount: string
  readonly key: string
  readonly namespace?: string | undefined
  readonly token: Secret
}

const timeoutMs = 10_000

/**
 * OpenBao's or Vault's Transit engine: `encrypt` and `decrypt` with a key of an AEAD type, bound by `associated_data`.
 * The ciphertext names the key's version, so what was wrapped opens after the key was rotated. https://openbao.org/api-docs/secret/transit/
 */
export function makeTransitSeal({ send, url, mount, key, namespace, token }: TransitSettings): Seal {
  const keyName = [...(namespace === undefined ? [] : [namespace.replace(/\/$/, '')]), mount, key].join('/')
  const self = { kind: 'transit', keyName } as const

  async function ask(verb: 'encrypt' | 'decrypt', input: object): Promise<Record<string, unknown>> {
    let answer: OutboundAnswer
    try {
      answer = await send({
        url: `${url.replace(/\/$/, '')}/v1/${mount}/${verb}/${key}`,
        headers: {
          'content-type': 'application/json',
          'x-vault-token': token.reveal(),
          // An agent in between can be told to pass on only what says this.
          'x-vault-request': 'true',
          ...(namespace !== undefined && { 'x-vault-namespace': namespace }),
        },
        body: JSON.stringify(input),
        timeoutMs,
      })
    } catch (cause) {
      throw new SealError(reasonOfSilence(cause), self, { cause })
    }
    const body = parse(answer)
    if (answer.status === 200 && typeof body['data'] === 'object' && body['data'] !== null)
      return body['data'] as Record<string, unknown>
    throw new SealError(reasonOf(answer.status, body), self)
  }

  return {
    ...self,
    async wrap(plain, binding) {
      const { ciphertext } = await ask('encrypt', { plaintext: plain.toString('base64'), ...bound(binding) })
      if (typeof ciphertext !== 'string' || !/^\w+:v\d+:[A-Za-z0-9+/]+=*$/.test(ciphertext))
        throw new SealError('failed', self)
      return ciphertext
    },
    async unwrap(wrapped, binding) {
      const { plaintext } = await ask('decrypt', { ciphertext: wrapped, ...bound(binding) })
      if (typeof plaintext !== 'string') throw new SealError('failed', self)
      return Buffer.from(plaintext, 'base64')
    },
  }
}

const bound = (binding: Binding) => ({
  associated_data: Buffer.from(canonicalJson(binding)).toString('base64'),
})

function parse({ body }: OutboundAnswer): Record<string, unknown> {
  try {
    return (JSON.parse(body.toString('utf8')) ?? {}) as Record<string, unknown>
  } catch {
    return {}
  }
}

function reasonOf(status: number, { errors }: Record<string, unknown>): SealReason {
  const text = Array.isArray(errors) ? errors.join('\n') : ''
  if (status === 400 && /key not found/.test(text)) return 'no-such-key'
  if (status === 400 && /authentication failed|invalid ciphertext|too old|too new|unable to decrypt/.test(text))
    return 'wrong-ciphertext'
  // A missing mount answers 404, as a missing namespace does.
  if (status === 404) return 'no-such-key'
  if (status === 401 || status === 403 || /missing client token/.test(text)) return 'denied'
  if (status === 429) return 'busy'
  if (status === 503) return /sealed/i.test(text) ? 'sealed' : 'busy'
  return status >= 500 ? 'unreachable' : 'failed'
}
