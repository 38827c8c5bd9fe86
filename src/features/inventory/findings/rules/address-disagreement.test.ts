import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asset, machine, testRule, verdictOf } from '../testing.ts'
import { addressDisagreement } from './address-disagreement.ts'

const sides = (
  registry: readonly string[],
  other: readonly string[],
  subject: 'virtualization' | 'monitoring' = 'virtualization',
) => ({
  machine: machine('virtual', asset('registry', {}, { addresses: registry }), asset(subject, {}, { addresses: other })),
})

testRule(addressDisagreement, [
  ['other addresses', sides(['10.0.0.1'], ['10.0.0.2']), true],
  ['other addresses in the monitoring', sides(['10.0.0.1'], ['10.0.0.2'], 'monitoring'), true],
  ['the same', sides(['10.0.0.1'], ['10.0.0.1']), false],
  ['one in common', sides(['10.0.0.1', '10.0.0.2'], ['10.0.0.9', '10.0.0.2']), false],
  ['with and without the length of the prefix', sides(['10.0.0.1/24'], ['10.0.0.1']), false],
  ['IPv6 in two forms', sides(['2001:DB8:0:0::1/64'], ['2001:db8::1']), false],
  ['other IPv6 addresses', sides(['2001:db8::1'], ['2001:db8::2']), true],
  ['IPv4 on one side and IPv6 on the other', sides(['10.0.0.1'], ['2001:db8::1']), false],
  ['IPv4 differs, IPv6 is the same', sides(['10.0.0.1', '2001:db8::1'], ['10.0.0.2', '2001:db8::1']), true],
  ['the registry has none', sides([], ['10.0.0.2']), false],
  ['the others have none', sides(['10.0.0.1'], []), false],
  [
    'what every machine has tells nothing',
    sides(['10.0.0.1'], ['127.0.0.1', '169.254.3.4', 'fe80::1%eth0', '0.0.0.0']),
    false,
  ],
  ['IPv6 that every machine has', sides(['2001:db8::1'], ['::1', 'fe80::1/64', 'ff02::1']), false],
  ['what looks like link-local but is not', sides(['10.0.0.1'], ['169.25.4.1']), true],
  ['a name where an address should be', sides(['10.0.0.1'], ['']), false],
  [
    'only the registry has it',
    { machine: machine('virtual', asset('registry', {}, { addresses: ['10.0.0.1'] })) },
    false,
  ],
  [
    'one of the others agrees',
    {
      machine: machine(
        'virtual',
        asset('registry', {}, { addresses: ['10.0.0.1'] }),
        asset('virtualization', {}, { addresses: ['10.0.0.2'] }),
        asset('configuration', {}, { addresses: ['10.0.0.1'] }),
      ),
    },
    false,
  ],
  [
    'a stale asset is history',
    {
      machine: machine(
        'virtual',
        asset('registry', {}, { addresses: ['10.0.0.1'] }),
        asset('virtualization', {}, { addresses: ['10.0.0.2'], staleAt: '2026-01-01T00:00:00.000Z' }),
      ),
    },
    false,
  ],
])

test('address-disagreement: the evidence names the addresses of each system', () => {
  assert.deepEqual(verdictOf(addressDisagreement, sides(['10.0.0.1/24'], ['10.0.0.2', '10.0.0.3'])), {
    severity: 'warning',
    says: ['registry: 10.0.0.1/24', 'virtualization: 10.0.0.2, 10.0.0.3'],
  })
})
