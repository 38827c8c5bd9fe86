import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseReference, printReference, type Reference, ReferenceText } from './reference.ts'

const good: Readonly<Record<string, Reference>> = {
  'env://NETBOX_TOKEN': { scheme: 'env', name: 'NETBOX_TOKEN' },
  'env://_x9': { scheme: 'env', name: '_x9' },
  'file:///run/secrets/netbox-token': { scheme: 'file', path: '/run/secrets/netbox-token' },
  'file:///a/..data/...x': { scheme: 'file', path: '/a/..data/...x' },
  'vault://secret/atlas/netbox#token': { scheme: 'vault', path: 'secret/atlas/netbox', field: 'token' },
  'vault://secret/a?version=12#a.b/c': { scheme: 'vault', path: 'secret/a', version: 12, field: 'a.b/c' },
  'vault://database/creds/atlas#password': { scheme: 'vault', path: 'database/creds/atlas', field: 'password' },
  'awssm://prod/netbox': { scheme: 'awssm', name: 'prod/netbox' },
  'awssm://prod/netbox_1+=.@-#api-token': { scheme: 'awssm', name: 'prod/netbox_1+=.@-', key: 'api-token' },
}

for (const [text, means] of Object.entries(good))
  test(`${text} is a reference, and printed it is the same text`, () => {
    assert.deepEqual(parseReference(text), means)
    assert.equal(printReference(means), text)
  })

const like = {
  env: 'must look like env://NAME',
  file: 'must look like file:///directory/name',
  vault: 'must look like vault://mount/path#field or vault://mount/path?version=3#field',
  awssm: 'must look like awssm://name or awssm://name#key',
  none: 'must begin with env://, file://, vault://, awssm://',
}

const bad: readonly (readonly [text: string, says: keyof typeof like])[] = [
  ['', 'none'],
  ['NETBOX_TOKEN', 'none'],
  ['https://vault.example.org/v1/secret', 'none'],
  ['constructor://x', 'none'],
  ['ENV://X', 'none'],
  [' env://X', 'none'],
  ['env://', 'env'],
  ['env://9X', 'env'],
  ['env://A-B', 'env'],
  ['env://A#b', 'env'],
  ['env://A\n', 'env'],
  [`env://${'A'.repeat(129)}`, 'env'],
  ['file://etc/passwd', 'file'],
  ['file:///', 'file'],
  ['file:///a/', 'file'],
  ['file:///a//b', 'file'],
  ['file:///a/./b', 'file'],
  ['file:///a/../b', 'file'],
  ['file:///..', 'file'],
  ['file:///a%2f..%2fb', 'file'],
  ['file:///a b', 'file'],
  ['file:///a\u0000', 'file'],
  ['file:///a#b', 'file'],
  ['vault://secret#x', 'vault'],
  ['vault://secret/a', 'vault'],
  ['vault://secret/a#', 'vault'],
  ['vault://secret/a#b#c', 'vault'],
  ['vault:///secret/a#b', 'vault'],
  ['vault://secret/../sys/raw#b', 'vault'],
  ['vault://secret/%2e%2e/sys#b', 'vault'],
  ['vault://secret/a?version=0#b', 'vault'],
  ['vault://secret/a?version=1&x=2#b', 'vault'],
  ['vault://secret/a?x=1#b', 'vault'],
  ['vault://secret/a\\b#c', 'vault'],
  [`vault://secret/a#${'f'.repeat(129)}`, 'vault'],
  [`vault://secret/${'a'.repeat(1024)}#b`, 'vault'],
  ['awssm://', 'awssm'],
  ['awssm://a b', 'awssm'],
  ['awssm://a#', 'awssm'],
  ['awssm://a?x#b', 'awssm'],
  ['awssm://arn:aws:secretsmanager:eu-central-1:1:secret:x', 'awssm'],
  [`awssm://${'a'.repeat(513)}`, 'awssm'],
]

for (const [text, says] of bad)
  test(`${JSON.stringify(text.slice(0, 60))} is no reference, and the rule is named`, () => {
    assert.equal(parseReference(text), undefined)
    const issues = ReferenceText.safeParse(text).error?.issues.map(({ message }) => message) ?? []
    assert.ok(issues.includes(like[says]), issues.join())
  })
