import { BlockList, isIP, isIPv4 } from 'node:net'

/** Why a host is not one that Atlas connects to; the words go to a person as they are. */
export type AddressRule = { readonly allowLoopback: boolean }

// Registered systems normally sit on private addresses, so those are allowed. What is listed here never is:
// it names this machine, the local wire, a cloud's metadata service, or no single machine at all.
const never = new BlockList()
never.addSubnet('0.0.0.0', 8, 'ipv4')
never.addSubnet('169.254.0.0', 16, 'ipv4')
never.addAddress('100.100.100.200', 'ipv4')
never.addAddress('192.0.0.192', 'ipv4')
never.addAddress('168.63.129.16', 'ipv4')
never.addSubnet('224.0.0.0', 3, 'ipv4')
never.addAddress('::', 'ipv6')
never.addSubnet('fe80::', 10, 'ipv6')
never.addSubnet('ff00::', 8, 'ipv6')
never.addAddress('fd00:ec2::254', 'ipv6')
never.addAddress('fd20:ce::254', 'ipv6')
const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** Whether an IP address may be connected to. Addresses that carry an IPv4 address inside are judged by it as well. */
export function isAllowedAddress(address: string, { allowLoopback }: AddressRule): boolean {
  const bare = address.split('%')[0] ?? ''
  const family = isIP(bare)
  if (family === 0) return false
  const inner = family === 6 ? embedded(bare) : undefined
  if (inner !== undefined) return isAllowedAddress(inner, { allowLoopback })
  const kind = family === 4 ? 'ipv4' : 'ipv6'
  if (never.check(bare, kind)) return false
  return allowLoopback || !loopback.check(bare, kind)
}

/**
 * The rule that a system's address breaks, or undefined. WHATWG URL parsing turns every spelling of an IPv4 literal
 * (`2130706433`, `0x7f.1`, `①②⑦.0.0.1`, a trailing dot) into four decimals first. Names are judged again when they resolve.
 */
export function originFault(text: string, rule: AddressRule): string | undefined {
  if (!URL.canParse(text)) return 'must be a web address such as https://system.example.org'
  const url = new URL(text)
  if (url.protocol !== 'https:') return 'must start with https://'
  if (url.username !== '' || url.password !== '') return 'must not hold a user name or password'
  if (url.search !== '' || url.hash !== '' || /[?#]/.test(text)) return 'must not have a query or a fragment'
  if (/\\|\/\/|%2e|%2f|%5c/i.test(url.pathname)) return 'must have a plain base path'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const name = host.replace(/\.$/, '')
  const isLocalName = name === 'localhost' || name.endsWith('.localhost')
  if (isIP(host) ? !isAllowedAddress(host, rule) : isLocalName && !rule.allowLoopback)
    return 'must not be a loopback, link-local, metadata, multicast or unspecified address'
  return undefined
}

/** The IPv4 address inside an IPv4-mapped, IPv4-compatible, NAT64 (RFC 6052, RFC 8215) or 6to4 (RFC 3056) address. */
function embedded(address: string): string | undefined {
  const groups = groupsOf(address)
  const quad = (high = 0, low = 0) => [high >> 8, high & 255, low >> 8, low & 255].join('.')
  const [a, b, c] = groups
  if (a === 0x2002) return quad(b, c)
  if (a === 0x64 && b === 0xff9b) return quad(groups[6], groups[7])
  if (groups.slice(0, 5).some((group) => group !== 0)) return undefined
  if (groups[5] === 0xffff) return quad(groups[6], groups[7])
  return groups[5] === 0 && groups[6] !== 0 ? quad(groups[6], groups[7]) : undefined
}

function groupsOf(address: string): readonly number[] {
  const tail = address.slice(address.lastIndexOf(':') + 1)
  const plain = isIPv4(tail) ? address.slice(0, -tail.length) + hexPair(tail) : address
  const [head = '', rest] = plain.split('::')
  const parse = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)))
  const left = parse(head)
  const right = rest === undefined ? [] : parse(rest)
  return [...left, ...Array<number>(Math.max(0, 8 - left.length - right.length)).fill(0), ...right]
}

function hexPair(quad: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = quad.split('.').map(Number)
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
}
