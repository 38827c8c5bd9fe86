import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Observation } from '../../core/connector.ts'
import { rank, tierOf } from './rank.ts'
import { fold, gramsOf, makeDocuments, nameKeyOf, parseQuery, token, tokensOf } from './text.ts'

const folds: readonly [what: string, from: string, to: string][] = [
  ['case', 'SRV-Fra1', 'srv-fra1'],
  ['accents, composed', 'Zürich-Größe', 'zurich-grosse'],
  ['accents, decomposed', 'Zu\u0308rich', 'zurich'],
  ['Turkish dotted I', 'İSTANBUL', 'istanbul'],
  ['Greek final sigma', 'ΟΔΟΣ', 'οδοσ'],
  ['ligatures and full-width forms', 'ﬁrewall ＳＷ１', 'firewall sw1'],
  ['quotes and white space', `  a"b'c\t\n d  `, 'a b c d'],
  ['NUL and control characters', 'a\0b\u0007é', 'a b e'],
  ['zero-width characters', 'a\u200bb\u00adç', 'abc'],
  ['half a surrogate pair', 'x\ud800y', 'x\ufffdy'],
  ['nothing', '', ''],
]

for (const [what, from, to] of folds) {
  test(`folding makes ${what} comparable`, () => {
    assert.equal(fold(from), to)
    assert.equal(fold(fold(from)), to)
  })
}

const queries: readonly [text: string, terms: readonly (readonly [string, boolean, readonly string[]])[]][] = [
  ['web', [['web', false, ['web']]]],
  [
    'Core SW',
    [
      ['core', false, ['core']],
      ['sw', true, ['sw']],
    ],
  ],
  ['srv-web', [['srv-web', false, ['srv', 'web']]]],
  ['srv-web1', [['srv-web1', false, ['srv-web1']]]],
  ['10.20.0.11', [['10.20.0.11', false, ['10.20.0.11']]]],
  ['10.20.0.', [['10.20.0.', false, ['10.20.0']]]],
  ['web web', [['web', false, ['web']]]],
  ['- * "', []],
  ['-a', [['a', true, ['a']]]],
  ['***', [['***', false, []]]],
  ['NEAR(a', [['near(a', false, ['near', 'a']]]],
]

for (const [text, terms] of queries) {
  test(`the query ${text} is understood`, () => {
    assert.deepEqual(
      parseQuery(text).terms.map(({ text, short, words }) => [text, short, words]),
      terms,
    )
  })
}

test('no token of any text holds a quote or a space, which could end it', () => {
  const nasty = `a"b' c\\ d" OR "e* NEAR(1) 'x':* \0 🚀🚀🚀 ${'"'.repeat(50)}`
  const document = makeDocuments(nasty)({
    ...plain,
    name: nasty,
    serial: nasty,
    addresses: [nasty],
    site: nasty,
    status: nasty,
    kind: nasty,
    attributes: { x: nasty },
  })

  const tokens = [...tokensOf(document), ...document.keys.flatMap((key) => gramsOf(key, 3)).map(token.gram)]

  assert.deepEqual(
    tokens.filter((each) => /["'\s\0]/.test(each)),
    [],
  )
})

test('one asset puts a bounded number of tokens into the index', () => {
  const long = 'word '.repeat(20_000) + 'x'.repeat(100_000)
  const addresses = Array.from({ length: 5_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}/32`)
  const attributes = Object.fromEntries(
    Array.from({ length: 3_000 }, (_, i) => [`a${i}`, `value${i} ${long.slice(0, 50)}`]),
  )
  const document = makeDocuments('con_1')({ ...plain, name: long, serial: long, addresses, attributes })

  assert.ok(document.keys.join('').length <= 16_000)
  assert.ok(document.words.length <= 500)
  assert.ok([...document.nameKey].length <= 200)
  assert.ok(tokensOf(document).every((each) => Buffer.byteLength(each) < 2_046))
})

test('names that only differ beyond the first 200 characters have one key, cut between characters', () => {
  assert.equal(nameKeyOf(`${'😀'.repeat(199)}ab`), `${'😀'.repeat(199)}a`)
})

const plain: Observation = { kind: 'device', externalId: '7', name: 'x', attributes: {} }

const machine: Observation = {
  kind: 'device',
  externalId: 'vm-77',
  name: 'Core SW-fra1-07',
  serial: 'AB 123',
  site: 'Frankfurt 1',
  addresses: ['10.20.0.11/24'],
  attributes: { model: 'PowerEdge R650', mac: '00:50:56:ab:cd:ef' },
}

const tiers: readonly [text: string, tier: number][] = [
  ['core sw-fra1-07', 0],
  ['10.20.0.11', 0],
  ['10.20.0.11/24', 0],
  ['ab 123', 0],
  ['core s', 1],
  ['core sw-fra', 1],
  ['sw-fra1', 2],
  ['20.0.1', 2],
  ['fra1 co', 2],
  ['frankfurt', 3],
  ['fra1 poweredge', 3],
  ['vm-77', 3],
  ['00:50:56:ab:cd:ef', 3],
  ['power', 4],
  ['00:50:56', 4],
]

for (const [text, tier] of tiers) {
  test(`“${text}” finds ${machine.name} in tier ${tier}`, () => {
    assert.equal(tierOf(makeDocuments('con_1')(machine), parseQuery(text)), tier)
  })
}

test('names beyond the basic plane sort as the databases sort them, by code point', () => {
  const names = ['\u{1f600}', '\uff41b', 'z']
  const rows = names.map((name, i) => ({ ...row, name, seq: i + 1 }))

  const order = rank(rows, parseQuery('x'), { by: 'name', descending: false })

  assert.deepEqual(
    order.map(({ seq }) => seq),
    [2, 3, 1],
  )
})

const row = {
  seq: 1,
  id: 'ast_1',
  connection_id: 'con_1',
  connector: 'example',
  kind: 'device',
  external_id: '1',
  name: '',
  status: null,
  site: null,
  serial: null,
  addresses: '[]',
  url: null,
  attributes: '{}',
  first_seen_at: '',
  last_seen_at: '',
  changed_at: '',
  stale_at: null,
}
