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
  meaning: 'The registry has addresses for a machine, the other systems have others, and none is the same.',
  advice: 'Find out which address the machine really has and correct the registry, or the system that is behind.',
  settings: {},
  witnesses: [all('registry'), all(...others)],
  machine: {
    finds(seen) {
      if (seen.isTemplate || seen.of('registry').length === 0) return false
      const registered = addressesOf(seen, ['registry'])
      if (registered.length === 0) return false
      const elsewhere = addressesOf(seen, others)
      if (elsewhere.some((address) => registered.includes(address))) return false
      // An IPv4 address on one side and an IPv6 address on the other do not contradict each other.
      return elsewhere.some((address) => registered.some((own) => isV6(own) === isV6(address)))
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

function sayAddresses({ addresses }: MachineAsset): string {
  return addresses.length === 0 ? 'has no address' : addresses.slice(0, 20).join(', ')
}
