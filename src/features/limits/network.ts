import { isIPv4, isIPv6 } from 'node:net'

/**
 * The network that an address is counted under: an IPv4 address itself, an IPv6 address's /64 (one customer has at least
 * that many). Every spelling of an address gives the same text; IPv4 in IPv6 form is the IPv4 address. What is no address
 * shares the one network `unknown`, so that nonsense never makes fresh buckets.
 */
export function networkOf(address: string): string {
  return maskOf(address, { v4Bytes: 4, v6Groups: 4 })
}

/** The wider network that habits are told by: the /24 of an IPv4 address, the /48 of an IPv6 address; else as `networkOf`. */
export function subnetOf(address: string): string {
  return maskOf(address, { v4Bytes: 3, v6Groups: 3 })
}

function maskOf(address: string, { v4Bytes, v6Groups }: { v4Bytes: number; v6Groups: number }): string {
  const v4 = (bytes: readonly (number | string)[]) =>
    v4Bytes === 4
      ? bytes.join('.')
      : `${[...bytes.slice(0, v4Bytes), ...Array(4 - v4Bytes).fill(0)].join('.')}/${v4Bytes * 8}`
  if (isIPv4(address)) return v4(address.split('.'))
  const [bare = ''] = address.split('%')
  if (!isIPv6(bare)) return 'unknown'
  const groups = groupsOf(bare)
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  if (isMapped) return v4(groups.slice(6).flatMap((group) => [group >> 8, group & 255]))
  const head = groups.slice(0, v6Groups).map((group) => group.toString(16))
  return `${head.join(':')}::/${v6Groups * 16}`
}

/** The eight 16-bit groups of a valid IPv6 address (RFC 4291 §2.2). */
function groupsOf(address: string): number[] {
  const [head = [], tail = []] = address.split('::').map((half) => half.split(':').filter(Boolean).flatMap(groupOf))
  return [...head, ...Array<number>(Math.max(0, 8 - head.length - tail.length)).fill(0), ...tail]
}

function groupOf(text: string): number[] {
  if (!text.includes('.')) return [Number.parseInt(text, 16)]
  const [a = 0, b = 0, c = 0, d = 0] = text.split('.').map(Number)
  return [a * 256 + b, c * 256 + d]
}
