import type { Subject } from '../../../../core/connector.ts'
import type { MachineAsset } from '../../machines/view.ts'
import { testimony } from '../evidence.ts'
import { all, defineRule } from '../rule.ts'
import type { Seen } from '../seen.ts'

const others = ['virtualization', 'monitoring', 'configuration'] as const

export const addressDisagreement = defineRule({
  id: 'address-disagreement',
  title: 'Addresses disagree',
  severity: 'warning',
  meaning:
    'The registry has IPv4 or IPv6 addresses for a machine, the other systems have others, and none is the same.',
  advice: 'Find out which address the machine really has and correct the registry, or the system that is behind.',
  settings: {},
  witnesses: [all('registry'), all(...others)],
  machine: {
    finds(seen) {
      if (seen.isTemplate || seen.of('registry').length === 0) return false
      const registered = addressesOf(seen, ['registry'])
      const elsewhere = addressesOf(seen, others)
      // Each family by itself: a right IPv6 address does not make a wrong IPv4 address right, and one never contradicts the other.
      return [isV6, isV4].some((isOfFamily) => {
        const own = registered.filter(isOfFamily)
        const other = elsewhere.filter(isOfFamily)
        return own.length > 0 && other.length > 0 && !other.some((address) => own.includes(address))
      })
    },
    evidence: (seen, context) =>
      (['registry', ...others] as const)
        .filter((subject) => subject === 'registry' || seen.of(subject).length > 0)
        .flatMap((subject) => testimony(seen, context, subject, sayAddresses)),
  },
})

function addressesOf(seen: Seen, subjects: readonly Subject[]): string[] {
  return subjects.flatMap((subject) => seen.of(subject).flatMap(({ addresses }) => addresses.flatMap(comparable)))
}

// Every machine has these, so they tell nothing: unspecified, loopback, link-local, multicast.
const useless = /^(0\.|127\.|169\.254\.|22[4-9]\.|23\d\.|::1?$|fe[89ab][0-9a-f]:|ff[0-9a-f]{2}:)/

/** The host part in the one form that texts can be compared in; nothing for what tells no machine apart. */
function comparable(given: string): string[] {
  const [host = ''] = given.trim().toLowerCase().split(/[/%]/)
  const address =
    isV6(host) && URL.canParse(`http://[${host}]`) ? new URL(`http://[${host}]`).hostname.slice(1, -1) : host
  return address === '' || useless.test(address) ? [] : [address]
}

function isV6(address: string): boolean {
  return address.includes(':')
}

function isV4(address: string): boolean {
  return !isV6(address)
}

function sayAddresses({ addresses }: MachineAsset): string {
  return addresses.length === 0 ? 'has no address' : addresses.slice(0, 20).join(', ')
}
