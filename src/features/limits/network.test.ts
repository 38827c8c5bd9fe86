import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fixedClock } from '../../testing/databases.ts'
import { makeLimiter } from './limiter.ts'
import { networkOf } from './network.ts'

const networks: Record<string, readonly string[]> = {
  '192.0.2.1': [
    '192.0.2.1',
    '::ffff:192.0.2.1',
    '::FFFF:c000:201',
    '0:0:0:0:0:ffff:c000:0201',
    '0::ffff:192.0.2.1%eth0',
  ],
  '192.0.2.2': ['192.0.2.2'],
  '2001:db8:0:1::/64': [
    '2001:db8:0:1::',
    '2001:DB8:0:1::1',
    '2001:0db8:0000:0001:ffff:ffff:ffff:ffff',
    '2001:db8::1:0:0:0:1',
    '2001:db8:0:1::192.0.2.1',
    '2001:db8:0:1::1%lo0',
  ],
  '2001:db8:0:2::/64': ['2001:db8:0:2::1'],
  'fe80:0:0:0::/64': ['fe80::1%eth0', 'fe80::1%1'],
  '0:0:0:0::/64': ['::1', '::', '0:0:0:0:0:0:0:1', '::192.0.2.1'],
  unknown: [
    '',
    'localhost',
    '192.0.2.1:80',
    '[::1]',
    '192.0.2.01',
    '1.2.3',
    'for=192.0.2.1',
    '192.0.2.1, 192.0.2.2',
    ':::',
  ],
}

for (const [network, spellings] of Object.entries(networks))
  test(`${network} is the network of ${spellings.join(' · ')}`, () => {
    assert.deepEqual(
      spellings.map(networkOf),
      spellings.map(() => network),
    )
  })

test('every spelling of a random IPv6 address has one network', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 }), (groups) => {
      const long = groups.map((group) => group.toString(16).toUpperCase().padStart(4, '0')).join(':')
      const short = new URL(`http://[${long}]`).hostname.slice(1, -1)
      assert.equal(networkOf(long), networkOf(short))
    }),
  )
})

test('10,000 addresses of one /64 are one source (claims: B8)', () => {
  const { takeNetwork } = makeLimiter({ rpm: 100, now: fixedClock().now })

  let refused = 0
  for (let i = 0; i < 10_000; i++)
    try {
      takeNetwork(`2001:db8::${i.toString(16)}`)
    } catch {
      refused++
    }

  assert.equal(refused, 9_900)
})
