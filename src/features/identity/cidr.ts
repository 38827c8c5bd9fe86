import { BlockList, isIP, SocketAddress } from 'node:net'

type Network = { readonly address: string; readonly prefix: number; readonly family: 'ipv4' | 'ipv6' }

/** Reads `10.0.0.0/8`, `2001:db8::/32` or a single address; undefined when it is none. Mapped IPv4 becomes IPv4. */
export function parseCidr(text: string): Network | undefined {
  const [address = '', prefixText, ...more] = text.split('/')
  const version = isIP(address)
  if (version === 0 || address.includes('%') || more.length > 0) return undefined
  if (prefixText !== undefined && !/^(0|[1-9]\d{0,2})$/.test(prefixText)) return undefined
  const bits = version === 4 ? 32 : 128
  const prefix = prefixText === undefined ? bits : Number(prefixText)
  if (prefix > bits) return undefined
  const plain = plainAddress(address)
  if (plain === undefined) return undefined
  if (version === 4 || plain.family === 'ipv6') return { ...plain, prefix }
  // A mapped network wider than the mapped range would silently cover less than it says.
  return prefix < 96 ? undefined : { ...plain, prefix: prefix - 96 }
}

/** A matcher for a list of networks. An address that cannot be read is in no network. */
export function makeAllowList(cidrs: readonly string[]): (address: string) => boolean {
  // One list per family: a single one would find every IPv4 address in ::/0.
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() }
  for (const text of cidrs) {
    const network = parseCidr(text)
    if (!network) throw new TypeError('The allow-list holds something that is not a network')
    lists[network.family].addSubnet(network.address, network.prefix, network.family)
  }
  return (address) => {
    const plain = plainAddress(address)
    return plain !== undefined && lists[plain.family].check(plain.address, plain.family)
  }
}

/** Whether every address of `inner` is also in `outer`. */
export function isWithin(inner: string, outer: readonly string[]): boolean {
  const network = parseCidr(inner)
  if (!network) return false
  return outer.some((text) => {
    const wider = parseCidr(text)
    if (!wider || wider.family !== network.family || wider.prefix > network.prefix) return false
    return makeAllowList([text])(network.address)
  })
}

/** One spelling per address: no zone, lower case, shortest form, IPv4 for a mapped address. */
function plainAddress(text: string): Pick<Network, 'address' | 'family'> | undefined {
  const address = text.replace(/%.*$/s, '')
  const version = isIP(address)
  if (version === 0) return undefined
  if (version === 4) return { address, family: 'ipv4' }
  const { address: short } = new SocketAddress({ address, family: 'ipv6' })
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(short)?.[1]
  return mapped === undefined ? { address: short, family: 'ipv6' } : { address: mapped, family: 'ipv4' }
}
