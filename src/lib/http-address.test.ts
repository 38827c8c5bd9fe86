import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAllowedAddress, originFault } from './http-address.ts'

const strict = { allowLoopback: false }
const denied = 'must not be a loopback, link-local, metadata, multicast or unspecified address'

const spellings: readonly (readonly [string, string | undefined])[] = [
  ['https://netbox.example.org', undefined],
  ['https://netbox.example.org:8443/netbox/', undefined],
  ['https://10.20.0.11', undefined],
  ['https://192.168.1.1', undefined],
  ['https://[fd00::11]', undefined],
  ['https://127.0.0.1', denied],
  ['https://127.0.0.1.', denied],
  ['https://2130706433', denied],
  ['https://0x7f.1', denied],
  ['https://0177.0.0.1', denied],
  ['https://127.1', denied],
  ['https://①②⑦.0.0.1', denied],
  ['https://0.0.0.0', denied],
  ['https://0', denied],
  ['https://localhost', denied],
  ['https://localhost.', denied],
  ['https://LOCALHOST', denied],
  ['https://app.localhost', denied],
  ['https://[::1]', denied],
  ['https://[::]', denied],
  ['https://[::ffff:127.0.0.1]', denied],
  ['https://[::ffff:7f00:1]', denied],
  ['https://[::127.0.0.1]', denied],
  ['https://[64:ff9b::7f00:1]', denied],
  ['https://[64:ff9b:1::a9fe:a9fe]', denied],
  ['https://[2002:a9fe:a9fe::1]', denied],
  ['https://[fe80::1]', denied],
  ['https://[ff02::1]', denied],
  ['https://[fd00:ec2::254]', denied],
  ['https://169.254.169.254', denied],
  ['https://2852039166', denied],
  ['https://[::ffff:169.254.169.254]', denied],
  ['https://100.100.100.200', denied],
  ['https://224.0.0.1', denied],
  ['https://255.255.255.255', denied],
  ['http://netbox.example.org', 'must start with https://'],
  ['gopher://netbox.example.org', 'must start with https://'],
  ['file:///etc/passwd', 'must start with https://'],
  ['data:text/html,hello', 'must start with https://'],
  ['https://user@netbox.example.org', 'must not hold a user name or password'],
  // secretlint-disable-next-line -- an address that must be refused, with no real credential
  ['https://user:word@netbox.example.org', 'must not hold a user name or password'],
  ['https://netbox.example.org/?a=1', 'must not have a query or a fragment'],
  ['https://netbox.example.org/?', 'must not have a query or a fragment'],
  ['https://netbox.example.org/#a', 'must not have a query or a fragment'],
  ['https://netbox.example.org//evil', 'must have a plain base path'],
  ['https://netbox.example.org/%2e%2e%2fadmin', 'must have a plain base path'],
  ['netbox.example.org', 'must be a web address such as https://system.example.org'],
  ['https://[fe80::1%25eth0]', 'must be a web address such as https://system.example.org'],
]

test('an address of a system is judged in every spelling (SECURITY.md §7.1)', () => {
  assert.deepEqual(
    spellings.map(([url]) => [url, originFault(url, strict)]),
    spellings,
  )
})

test('loopback can be opened for local systems; the other refused ranges cannot', () => {
  const loopback = ['https://127.0.0.1', 'https://localhost', 'https://[::1]', 'https://[::ffff:127.0.0.1]']
  const never = ['https://0.0.0.0', 'https://169.254.169.254', 'https://[fe80::1]', 'https://100.100.100.200']
  assert.deepEqual(
    [...loopback, ...never].map((url) => originFault(url, { allowLoopback: true })),
    [...loopback.map(() => undefined), ...never.map(() => denied)],
  )
})

test('a peer address with a zone, or that is no address, is refused', () => {
  assert.deepEqual(
    ['fe80::1%eth0', '', 'netbox', '10.0.0.1', '::ffff:10.0.0.1', '2001:db8::1'].map((a) =>
      isAllowedAddress(a, strict),
    ),
    [false, false, false, true, true, true],
  )
})
