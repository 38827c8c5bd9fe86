import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'
import { der } from './der.ts'

export type Issued = { readonly certPem: string; readonly keyPem: string }

export type IssueOptions = {
  readonly commonName: string
  /** Names and IP addresses for the subject alternative name. */
  readonly hosts?: readonly string[]
  /** For a client certificate; the default is a server's. */
  readonly client?: boolean
  readonly notBefore?: Date
  readonly notAfter?: Date
}

export type Ca = { readonly caPem: string; readonly issue: (options: IssueOptions) => Issued }

const day = 86_400_000

/**
 * A certificate authority of its own for simulators: ECDSA P-256 with SHA-256, X.509 v3 (RFC 5280).
 * Nothing is kept on disk; the CA's key lives as long as the object.
 */
export function makeCa(commonName = 'Atlas simulators CA'): Ca {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const issuer = { name: distinguishedName(commonName), key: keys.privateKey, id: keyId(keys.publicKey) }
  const ca = certificate(issuer, {
    subject: issuer.name,
    publicKey: keys.publicKey,
    notBefore: new Date(Date.now() - day),
    notAfter: new Date(Date.now() + 365 * day),
    extensions: [
      extension('2.5.29.19', der.sequence(der.boolean(true)), true),
      extension('2.5.29.15', der.bitString(Buffer.from([0b0000_0110]), 1), true),
      extension('2.5.29.14', der.octetString(issuer.id)),
    ],
  })
  return {
    caPem: pem('CERTIFICATE', ca),
    issue(options) {
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const leaf = certificate(issuer, {
        subject: distinguishedName(options.commonName),
        publicKey: pair.publicKey,
        notBefore: options.notBefore ?? new Date(Date.now() - day),
        notAfter: options.notAfter ?? new Date(Date.now() + 90 * day),
        extensions: leafExtensions(options, issuer.id, pair.publicKey),
      })
      return {
        certPem: pem('CERTIFICATE', leaf),
        keyPem: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      }
    },
  }
}

type Issuer = { readonly name: Buffer; readonly key: KeyObject; readonly id: Buffer }
type Subject = {
  readonly subject: Buffer
  readonly publicKey: KeyObject
  readonly notBefore: Date
  readonly notAfter: Date
  readonly extensions: readonly Buffer[]
}

function leafExtensions(
  { hosts = [], client = false }: IssueOptions,
  issuerId: Buffer,
  publicKey: KeyObject,
): Buffer[] {
  const names = hosts.map((host) =>
    isIP(host) ? der.implicit(7, addressBytes(host)) : der.implicit(2, Buffer.from(host, 'ascii')),
  )
  return [
    extension('2.5.29.19', der.sequence(), true),
    extension('2.5.29.15', der.bitString(Buffer.from([0b1000_0000]), 7), true),
    extension('2.5.29.37', der.sequence(der.oid(client ? '1.3.6.1.5.5.7.3.2' : '1.3.6.1.5.5.7.3.1'))),
    ...(names.length > 0 ? [extension('2.5.29.17', der.sequence(...names))] : []),
    extension('2.5.29.14', der.octetString(keyId(publicKey))),
    extension('2.5.29.35', der.sequence(der.implicit(0, issuerId))),
  ]
}

function certificate(issuer: Issuer, { subject, publicKey, notBefore, notAfter, extensions }: Subject): Buffer {
  const algorithm = der.sequence(der.oid('1.2.840.10045.4.3.2'))
  const serial = randomBytes(16)
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  const toBeSigned = der.sequence(
    der.explicit(0, der.integer(Buffer.from([2]))),
    der.integer(serial),
    algorithm,
    issuer.name,
    der.sequence(der.time(notBefore), der.time(notAfter)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der.explicit(3, der.sequence(...extensions)),
  )
  return der.sequence(toBeSigned, algorithm, der.bitString(sign('sha256', toBeSigned, issuer.key)))
}

function distinguishedName(commonName: string): Buffer {
  return der.sequence(der.set(der.sequence(der.oid('2.5.4.3'), der.utf8(commonName))))
}

function extension(id: string, value: Buffer, critical = false): Buffer {
  return der.sequence(der.oid(id), ...(critical ? [der.boolean(true)] : []), der.octetString(value))
}

function keyId(publicKey: KeyObject): Buffer {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest()
    .subarray(0, 20)
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number))
  const [head = '', tail = ''] = address.split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)))
  const [left, right] = [groups(head), groups(tail)]
  const all = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right]
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]))
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
