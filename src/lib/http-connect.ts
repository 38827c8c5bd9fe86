import { createHash, type X509Certificate } from 'node:crypto'
import { lookup } from 'node:dns'
import type { LookupFunction, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { buildConnector } from 'undici'
import type { Secret } from '../core/secret.ts'
import { type AddressRule, isAllowedAddress } from './http-address.ts'

/** The host leads to an address that is never connected to. */
export class AddressRefused extends Error {
  constructor() {
    super('the address is not one that may be connected to')
    this.name = 'AddressRefused'
  }
}

/** What is told of a system's certificate. Fingerprints are SHA-256, 64 lower case hex digits. */
export type ShownCertificate = {
  readonly fingerprint: string
  /** Of the public key (SPKI), which may outlive the certificate. */
  readonly keyFingerprint: string
  readonly issuer: string
  readonly endsAt: Date
}

/** The certificate is valid, but not the one that this connection is pinned to. Undefined: none was shown. */
export class PinMismatch extends Error {
  readonly shown: ShownCertificate | undefined
  constructor(shown: ShownCertificate | undefined) {
    super('the certificate is not the pinned one')
    this.name = 'PinMismatch'
    this.shown = shown
  }
}

/** Both PEM. */
export type ClientCertificate = { readonly certificate: Secret; readonly key: Secret }

type Options = {
  readonly rule: AddressRule
  readonly caPem?: string
  readonly clientCertificate?: () => Promise<ClientCertificate | undefined>
  /** The fingerprint of the only certificate, or public key, that is talked to. It is checked beside everything else. */
  readonly pin?: string
  /** Told the certificate of the system with each new connection that is used. */
  readonly onCertificate?: (certificate: ShownCertificate) => void
  readonly timeoutMs: number
  /** The resolver, for tests. */
  readonly resolve?: typeof lookup
}

/**
 * Opens verified TLS 1.2+ connections, and only to allowed addresses (SECURITY.md §7.1): a literal is judged before, every
 * resolved address while, and the connected peer after connecting. A name that has one refused address is refused whole,
 * so an answer that mixes a good and a bad address gains nothing.
 */
export function makeConnector(connecting: Options): buildConnector.connector {
  const { rule, caPem, clientCertificate, timeoutMs, resolve = lookup } = connecting
  const options = {
    timeout: timeoutMs,
    allowH2: false,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    lookup: guardedLookup(rule, resolve),
    // A given bundle replaces the public authorities: the system is known, so nobody else may vouch for it.
    // It may be an intermediate authority alone.
    ...(caPem !== undefined && { ca: caPem, allowPartialTrustChain: true }),
    // A resumed session shows no certificate and carries an older one on, also our own: each connection begins anew.
    maxCachedSessions: 0,
  } as buildConnector.BuildOptions
  const plain = buildConnector(options)
  const signed = async (): Promise<buildConnector.connector> => {
    const own = await clientCertificate?.()
    if (!own) return plain
    const pair = { cert: own.certificate.reveal(), key: own.key.reveal() }
    return buildConnector({ ...options, ...pair } as buildConnector.BuildOptions)
  }

  return (target, callback) => {
    const host = target.hostname.replace(/^\[|\]$/g, '')
    if (isLiteral(host) && !isAllowedAddress(host, rule)) return callback(new AddressRefused(), null)
    const open = (connect: buildConnector.connector) =>
      connect(target, (...[error, socket]) => {
        if (error) return callback(error, null)
        const refusal = refusalOf(socket, connecting)
        if (!refusal) return callback(null, socket)
        socket.destroy()
        callback(refusal, null)
      })
    if (!clientCertificate) return open(plain)
    signed().then(open, (error: unknown) => callback(error as Error, null))
  }
}

/** Why a connection that stands is not used; not a byte of a request was sent on it. */
function refusalOf(socket: Socket, { rule, pin, onCertificate }: Options): Error | undefined {
  if (!isAllowedAddress(socket.remoteAddress ?? '', rule)) return new AddressRefused()
  const shown = shownBy(socket)
  if (pin !== undefined && pin !== shown?.fingerprint && pin !== shown?.keyFingerprint) return new PinMismatch(shown)
  if (shown) onCertificate?.(shown)
  return undefined
}

function shownBy(socket: Socket): ShownCertificate | undefined {
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined
  if (!certificate) return undefined
  try {
    return shownCertificate(certificate)
  } catch {
    // A key that Node cannot export. The connection was verified; only a pin cannot fit what cannot be read.
    return undefined
  }
}

function shownCertificate({ raw, publicKey, issuer, validTo }: X509Certificate): ShownCertificate {
  const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
  return {
    fingerprint: digest(raw),
    keyFingerprint: digest(publicKey.export({ type: 'spki', format: 'der' })),
    // One part per line, in whatever words the authority chose.
    issuer: issuer
      .replaceAll(/\s*\n\s*/g, ', ')
      .replaceAll(/\p{C}/gu, ' ')
      .slice(0, 300),
    endsAt: new Date(validTo),
  }
}

/** Node skips `lookup` for literals, so they are judged apart. */
function isLiteral(host: string): boolean {
  return host.includes(':') || /^\d+(\.\d+){3}$/.test(host)
}

function guardedLookup(rule: AddressRule, resolve: typeof lookup): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, [])
      const [first] = addresses
      if (!first || !addresses.every(({ address }) => isAllowedAddress(address, rule)))
        return callback(new AddressRefused(), [])
      if (options.all) return callback(null, addresses)
      callback(null, first.address, first.family)
    })
  }
}
