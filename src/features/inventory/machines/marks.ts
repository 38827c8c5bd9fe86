import { isIP } from 'node:net'
import type { Observation } from '../../../core/connector.ts'
import { isNoAddress, isNoHostName, isNoMac, isNoSerial, isNoUuid } from './no-identity.ts'

/** By what an asset can be recognised, normalised: the same machine gives the same texts whatever the system. Sorted, no doubles. */
export type Marks = {
  readonly form: 'physical' | 'virtual' | null
  readonly site: string | null
  /** 32 hex digits; of a UUID and its byte-swapped form (SMBIOS 2.6 against older) always the same one. */
  readonly uuids: readonly string[]
  readonly serials: readonly string[]
  /** 12 hex digits. */
  readonly macs: readonly string[]
  readonly fqdns: readonly string[]
  /** Host names without domain, also the first labels of full names. */
  readonly names: readonly string[]
  readonly addresses: readonly string[]
}

export type KeyKind = 'uuid' | 'serial' | 'mac' | 'fqdn' | 'name' | 'address'

const maxOfAKind = 64
const maxLength = 255

/** The marks of what a system calls one machine; undefined when it is none. */
export function marksOf(observation: Observation): Marks | undefined {
  const { machine, serial, site, addresses = [] } = observation
  if (!machine) return undefined
  const given = [...(machine.fqdns ?? []), ...(machine.hostNames ?? [])].map(plainName)
  const fqdns = given.filter(isFullName)
  const uuidInSerial = uuidOfSerial(serial ?? '')
  return {
    form: machine.form ?? null,
    site: site?.trim() || null,
    uuids: distinct([...(machine.uuids ?? []), uuidInSerial ?? ''].map(uuidOf)),
    serials: distinct([uuidInSerial === undefined ? serialOf(serial ?? '') : undefined]),
    macs: distinct((machine.macs ?? []).map(macOf)),
    fqdns: distinct(fqdns.filter((name) => !isNoHostName(name.split('.')[0] ?? '') && !isLocalDomain(name))),
    names: distinct(given.flatMap(shortNameOf)),
    // A host that is called by its address has that address and no name.
    addresses: distinct([...addresses, ...given].map(addressOf)),
  }
}

/** What is looked up to find others with the same mark: `uuid:…`, `serial:…`, `mac:…`, `fqdn:…`, `name:…`, `address:…`. */
export function keysOf(marks: Marks): string[] {
  return [
    ...marks.uuids.map((value) => `uuid:${value}`),
    ...marks.serials.map((value) => `serial:${value}`),
    ...marks.macs.map((value) => `mac:${value}`),
    ...marks.fqdns.map((value) => `fqdn:${value}`),
    ...marks.names.map((value) => `name:${value}`),
    ...marks.addresses.map((value) => `address:${value}`),
  ]
}

export function kindOf(key: string): KeyKind {
  return key.slice(0, key.indexOf(':')) as KeyKind
}

/**
 * 32 bits of a key, for the index of marks: 16 of its beginning and 16 of the whole, so that the keys of neighbours (`web0001`,
 * `web0002`) are neighbours there and a batch writes few pages. Two keys may have the same number: the decision looks at the
 * marks themselves, so that costs a look and nothing more.
 */
export function hashOf(key: string): number {
  const end = key.startsWith('fqdn:') ? key.indexOf('.') : key.length
  return (fnv(key, end - 2) << 16) | (fnv(key, key.length) & 0xffff)
}

/** FNV-1a of the first characters, finished as in MurmurHash3. */
function fnv(text: string, end: number): number {
  let h = 0x811c9dc5
  for (let at = 0; at < end; at++) h = Math.imul(h ^ text.charCodeAt(at), 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  return h ^ (h >>> 13)
}

/** Marks of a text typed by a person: a name, an address, a serial, a UUID or a MAC address. */
export function keysOfText(text: string): string[] {
  const name = plainName(text)
  const uuid = uuidOf(text)
  const serial = serialOf(text)
  const mac = macOf(text)
  const address = addressOf(text)
  return [
    ...(uuid ? [`uuid:${uuid}`] : []),
    ...(mac ? [`mac:${mac}`] : []),
    ...(address ? [`address:${address}`] : []),
    ...(isFullName(name) ? [`fqdn:${name}`] : shortNameOf(name).map((short) => `name:${short}`)),
    ...(serial ? [`serial:${serial}`] : []),
  ]
}

function uuidOf(text: string): string | undefined {
  const hex = text.toLowerCase().replaceAll(/[^0-9a-f]/g, '')
  if (hex.length !== 32 || !/^[{]?[0-9a-f -]+[}]?$/i.test(text.trim()) || isNoUuid(hex)) return undefined
  const swapped = [6, 4, 2, 0, 10, 8, 14, 12].map((at) => hex.slice(at, at + 2)).join('') + hex.slice(16)
  if (isNoUuid(swapped)) return undefined
  return [hex, swapped].sort()[0]
}

/** Hypervisors write the UUID of a virtual machine into its serial: `VMware-42 1c 5b …`, or as it is. */
function uuidOfSerial(serial: string): string | undefined {
  const text = serial.trim().replace(/^vmware-/i, '')
  return /^([0-9a-f]{2}[ -]?){16}$/i.test(text) && text.replaceAll(/[^0-9a-f]/gi, '').length === 32 ? text : undefined
}

function serialOf(text: string): string | undefined {
  const serial = text.trim().toUpperCase().replaceAll(/\s+/g, ' ')
  return serial === '' || serial.length > maxLength || isNoSerial(serial) ? undefined : serial
}

function macOf(text: string): string | undefined {
  const hex = text.toLowerCase().replaceAll(/[:.\s-]/g, '')
  return /^[0-9a-f]{12}$/.test(hex) && !isNoMac(hex) ? hex : undefined
}

function plainName(text: string): string {
  return text.trim().toLowerCase().replace(/\.$/, '')
}

function isFullName(name: string): boolean {
  return name.length <= maxLength && /^[a-z0-9_]([a-z0-9_-]*)(\.[a-z0-9_-]+)*\.[a-z][a-z0-9-]*[a-z]$/.test(name)
}

/** Domains that everyone may use at home; a name in them is no fuller than a short one. */
function isLocalDomain(name: string): boolean {
  return /\.(local|localdomain|lan|home|arpa|invalid|test)$/.test(name)
}

function shortNameOf(name: string): string[] {
  if (addressOf(name) !== undefined || isIP(name) !== 0) return []
  const short = isFullName(name) ? (name.split('.')[0] ?? '') : name
  return short.length > maxLength || isNoHostName(short) ? [] : [short]
}

function addressOf(text: string): string | undefined {
  if (text.length > maxLength) return undefined
  const bare = text
    .trim()
    .replace(/\/\d+$/, '')
    .replace(/%.*$/, '')
  const family = isIP(bare)
  if (family === 0) return undefined
  const address = family === 6 ? shortest(bare) : bare
  return isNoAddress(address) ? undefined : address
}

/** The one spelling of an IPv6 address (RFC 5952); an IPv4 address inside is that address. */
function shortest(address: string): string {
  const text = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(text)
  if (!mapped) return text
  const [high = 0, low = 0] = [mapped[1], mapped[2]].map((part) => Number.parseInt(part ?? '0', 16))
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}

function distinct(values: readonly (string | undefined)[]): string[] {
  return [...new Set(values.filter((value): value is string => value !== undefined && value !== ''))]
    .sort()
    .slice(0, maxOfAKind)
}
