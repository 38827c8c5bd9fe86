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

/** Both PEM. */
export type ClientCertificate = { readonly certificate: Secret; readonly key: Secret }

type Options = {
  readonly rule: AddressRule
  readonly caPem?: string
  readonly clientCertificate?: () => Promise<ClientCertificate | undefined>
  /** Told when the certificate of the system ends, with each new connection. */
  readonly onCertificate?: (endsAt: Date) => void
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
  } as buildConnector.BuildOptions
  const plain = buildConnector(options)
  const signed = async (): Promise<buildConnector.connector> => {
    const own = await clientCertificate?.()
    if (!own) return plain
    // The session cache of TLS would carry an older certificate on.
    const pair = { cert: own.certificate.reveal(), key: own.key.reveal(), maxCachedSessions: 0 }
    return buildConnector({ ...options, ...pair } as buildConnector.BuildOptions)
  }

  return (target, callback) => {
    const host = target.hostname.replace(/^\[|\]$/g, '')
    if (isLiteral(host) && !isAllowedAddress(host, rule)) return callback(new AddressRefused(), null)
    const open = (connect: buildConnector.connector) =>
      connect(target, (...[error, socket]) => {
        if (error) return callback(error, null)
        if (isAllowedAddress(socket.remoteAddress ?? '', rule)) {
          tellEnd(socket, connecting.onCertificate)
          return callback(null, socket)
        }
        socket.destroy()
        callback(new AddressRefused(), null)
      })
    if (!clientCertificate) return open(plain)
    signed().then(open, (error: unknown) => callback(error as Error, null))
  }
}

function tellEnd(socket: Socket, tell: Options['onCertificate']): void {
  if (!tell || !(socket instanceof TLSSocket)) return
  const ends = new Date(socket.getPeerCertificate().valid_to ?? Number.NaN)
  if (!Number.isNaN(ends.getTime())) tell(ends)
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
