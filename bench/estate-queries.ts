import { makeDice } from '../simulators/lib/random.ts'
import type { Truth } from '../simulators/lib/truth.ts'
import { feeds } from './estate-rows.ts'

type Query = { text: string; kinds?: string[]; sites?: string[]; source?: string; statuses?: string[] }

const perKind = 40

/** What people look for, by kind of search; each of some random machine, so that there is something to find. */
export function queriesOf({ estate, vm, device }: Truth): Readonly<Record<string, readonly Query[]>> {
  const dice = makeDice(77)
  const some = (make: (n: number) => string | Query) =>
    [...Array(perKind).keys()].map((n) => {
      const made = make(n)
      return typeof made === 'string' ? { text: made } : made
    })
  const anyVm = (n: number) => vm(dice.whole(1, n) % estate.counts.vms)
  const anyDevice = (n: number) => device(dice.whole(2, n) % estate.counts.devices)
  const addressOf = (n: number) => anyVm(n).address.replace(/\/.*/, '')
  const pick = (n: number, ...words: string[]) => words[n % words.length] ?? ''
  const siteOf = (n: number) => estate.site(anyDevice(n).site).code
  return {
    'whole name': some((n) => anyVm(n).hostName),
    'full name': some((n) => anyDevice(n).fqdn),
    'part of a name': some((n) => anyVm(n).hostName.slice(2, 9)),
    'whole address': some(addressOf),
    'beginning of an address': some((n) => `${addressOf(n).split('.').slice(0, 3).join('.')}.`),
    serial: some((n) => anyDevice(n).serial),
    'part of a serial': some((n) => anyDevice(n).serial.slice(-5)),
    'common word': some((n) =>
      pick(n, 'production', 'ubuntu', 'silver', 'server', 'esx', 'operations', 'linux', 'example'),
    ),
    'two words': some((n) => `${siteOf(n)} ${pick(n, 'ubuntu', 'web', 'production', 'platform')}`),
    'beginning, with filters': some((n) => ({
      text: pick(n, 'web', 'db', siteOf(n), 'app'),
      kinds: [pick(n, 'device', 'virtual-machine', 'client')],
      sites: [siteOf(n).toUpperCase()],
    })),
    'word, with filters': some((n) => ({
      text: pick(n, 'ubuntu', 'production', 'windows'),
      source: feeds[n % 7]?.id ?? '',
      statuses: [pick(n, 'active', 'poweredoff', 'failed', 'off')],
    })),
  }
}
