/** What a wrapped root key is for. The provider is told it at both ends, so that it opens for nothing else. Nothing in it is secret. */
export type Binding = Readonly<Record<string, string>>

/** A place outside that wraps the root key and unwraps it again. Its own key never leaves it. */
export type Seal = {
  readonly kind: 'transit' | 'aws-kms' | 'pkcs11'
  /** Which key there, as a person would name it. No secret, no address. */
  readonly keyName: string
  /** Printable text that only this key opens, and only for this binding. */
  readonly wrap: (plain: Buffer, binding: Binding) => Promise<string>
  /** The caller zeroes what it gets. */
  readonly unwrap: (wrapped: string, binding: Binding) => Promise<Buffer>
}

const reasons = {
  unreachable: 'does not answer',
  untrusted: 'shows a certificate that is not trusted',
  sealed: 'is sealed itself',
  busy: 'answers that it has too much to do',
  denied: 'refuses: what Atlas signs in with is wrong, has expired, or may not use this key',
  'wrong-pin': 'does not take the PIN: it is wrong, has expired, or is locked',
  'no-such-key': 'has no such key',
  'key-disabled': 'does not use this key now: it is disabled, or about to be deleted',
  'unsafe-key':
    'has a key of this name that does not serve: it must be AES-256, and must not be able to leave the token',
  'wrong-ciphertext': 'does not open the wrapped root key: it was wrapped with another key, or is damaged',
  failed: 'answered something unexpected',
} as const

export type SealReason = keyof typeof reasons

/** Why a provider did not do it. The words never hold an address, a token or anything that it answered. */
export class SealError extends Error {
  readonly reason: SealReason
  constructor(reason: SealReason, { kind, keyName }: Pick<Seal, 'kind' | 'keyName'>, options?: ErrorOptions) {
    super(`The seal ${kind} (key ${keyName}) ${reasons[reason]}`, options)
    this.name = 'SealError'
    this.reason = reason
  }
}

/** Why no answer came: a certificate that is not trusted is told apart, because waiting does not mend it. */
export function reasonOfSilence(error: unknown): SealReason {
  const code = String((error as NodeJS.ErrnoException | undefined)?.code ?? '')
  return /CERT|_SIGNED_|UNABLE_TO|ALTNAME|ERR_SSL|ERR_TLS/.test(code) ? 'untrusted' : 'unreachable'
}
