import type { Host } from './schema.ts'

// What tells a machine apart. A wrong mark joins two machines into one, so whatever is in doubt is left out.

const label = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?'
const hostName = new RegExp(`^${label}(?:\\.${label})*$`, 'i')
/** The last label has a letter: `10.0.0.7` is no name. */
const fqdn = new RegExp(`^(?:${label}\\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$`, 'i')
/** Machines found through vCenter are called by the id that vCenter gave them, which is not their SMBIOS UUID. */
const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/**
 * The technical name is what an agent calls its host. A visible name is written for people, so one plain word ("Mailserver")
 * is no host name: it needs a digit or a domain.
 */
export function hostNamesIn(technical: string, visible: string): string[] {
  const isName = (name: string) => hostName.test(name) && /[a-z]/i.test(name) && !uuid.test(name)
  const names = [
    ...(isName(technical) ? [technical] : []),
    ...(isName(visible) && /\d|\./.test(visible) ? [visible] : []),
  ]
  return [...new Set(names)]
}

export function fqdnsIn(technical: string, visible: string): string[] {
  return [...new Set([technical, visible].filter((name) => fqdn.test(name)))]
}

/** Inventory fields are free text: "00:50:56:aa:bb:cc (eth0), …". */
export function macsIn(...texts: readonly (string | null | undefined)[]): string[] {
  const found = texts.flatMap((text) => text?.match(/\b[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}\b/gi) ?? [])
  return [...new Set(found)]
}

/** Loopback is every host's own. A macro (`{$IP}`) is not an address yet. */
export function addressesOf({ interfaces }: Host): string[] {
  const known = interfaces.map(({ ip }) => ip).filter((ip) => /^[0-9a-f.:]+$/i.test(ip))
  return [...new Set(known)].filter((ip) => !/^127\.|^::1$|^0\.0\.0\.0$|^::$/.test(ip))
}
