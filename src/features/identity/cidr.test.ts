import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isWithin, makeAllowList, parseCidr } from './cidr.ts'

const matches: readonly [cidr: string, address: string, inside: boolean][] = [
  ['10.0.0.0/8', '10.255.255.255', true],
  ['10.0.0.0/8', '11.0.0.0', false],
  ['10.0.0.0/8', '::ffff:10.1.2.3', true],
  ['10.0.0.0/8', '::FFFF:0a01:0203', true],
  ['10.0.0.0/8', '0:0:0:0:0:ffff:a01:203', true],
  ['10.0.0.0/8', '::10.1.2.3', false],
  ['10.0.0.0/8', '64:ff9b::10.1.2.3', false],
  ['192.0.2.7', '192.0.2.7', true],
  ['192.0.2.7', '192.0.2.8', false],
  ['0.0.0.0/0', '203.0.113.9', true],
  ['0.0.0.0/0', '2001:db8::1', false],
  ['::/0', '203.0.113.9', false],
  ['::/0', '2001:db8::1', true],
  ['2001:db8::/32', '2001:0DB8:0000:0000:0000:0000:0000:0001', true],
  ['2001:DB8:0::/32', '2001:db8:ffff::', true],
  ['2001:db8::/32', '2001:db9::', false],
  ['fe80::/10', 'fe80::1%eth0', true],
  ['::ffff:10.0.0.0/104', '10.9.9.9', true],
  ['::ffff:10.0.0.0/104', '11.9.9.9', false],
  ['10.0.0.0/8', '10.1.2.3, 203.0.113.9', false],
  ['10.0.0.0/8', '010.1.2.3', false],
  ['10.0.0.0/8', '10.1', false],
  ['10.0.0.0/8', '', false],
  ['0.0.0.0/0', 'unix:', false],
]

test('an allow-list lets in exactly its networks, in every spelling of an address (claims: A24)', () => {
  for (const [cidr, address, inside] of matches)
    assert.equal(makeAllowList([cidr])(address), inside, `${address} in ${cidr}`)
  assert.equal(makeAllowList(['10.0.0.0/8', '2001:db8::/32'])('2001:db8::5'), true)
  assert.equal(makeAllowList([])('10.0.0.1'), false)
})

const wrong = [
  '',
  '/',
  '10.0.0.0/',
  '10.0.0.0/33',
  '10.0.0.0/08',
  '10.0.0.0/-1',
  '10.0.0.0/8/8',
  '10.0.0/8',
  'example.org',
  '::/129',
  '10.0.0.0/8 ',
  ' 10.0.0.0/8',
  '10.0.0.0/255.0.0.0',
  'fe80::1%eth0/64',
  '::ffff:10.0.0.0/8',
  '*',
]

test('what is no network is refused', () => {
  for (const text of wrong) assert.equal(parseCidr(text), undefined, JSON.stringify(text))
})

const contained: readonly [inner: string, outer: readonly string[], within: boolean][] = [
  ['10.1.0.0/16', ['10.0.0.0/8'], true],
  ['10.0.0.0/8', ['10.0.0.0/8'], true],
  ['10.0.0.0/7', ['10.0.0.0/8'], false],
  ['0.0.0.0/0', ['10.0.0.0/8'], false],
  ['::ffff:10.1.0.0/112', ['10.0.0.0/8'], true],
  ['11.0.0.1', ['10.0.0.0/8', '11.0.0.0/24'], true],
  ['2001:db8::/48', ['2001:db8::/32'], true],
  ['2001:db8::/31', ['2001:db8::/32'], false],
  ['::/0', ['0.0.0.0/0'], false],
]

test('a network is within others only when all of it is', () => {
  for (const [inner, outer, within] of contained) assert.equal(isWithin(inner, outer), within, `${inner} in ${outer}`)
})
