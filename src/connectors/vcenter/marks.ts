// What every machine may have is no mark of any: it would make one machine of many.

/** Whether a name tells a machine apart: an address is no name, and `localhost` is everybody's. */
export function isOwnName(name: string): boolean {
  return /[a-z]/i.test(name) && !name.includes(':') && !/^localhost(?:\.|$)/i.test(name)
}

/** Whether an address, with or without prefix length, is neither loopback nor link-local. */
export function isOwnAddress(address: string): boolean {
  return address !== '' && !/^(?:169\.254\.|127\.|fe80:|::1(?:\/|$))/i.test(address)
}
