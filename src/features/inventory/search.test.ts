import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import type { Observation } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import type { Database } from '../../lib/db/database.ts'
import { fixedClock, testOnEach } from '../../testing/databases.ts'
import type { Filter } from './filter.ts'
import { makeInventory } from './inventory.ts'
import { inventoryMigrations } from './migrations.ts'
import { tierOf } from './rank.ts'
import { makeSearch, type SearchQuery, type SortName } from './search.ts'
import { makePostgresIndex } from './store-postgres.ts'
import { makeSqliteIndex } from './store-sqlite.ts'
import { type Document, makeDocuments, parseQuery } from './text.ts'

const everything: Filter = { kinds: [], source: undefined, statuses: [], sites: [], stale: false }

function setUp(database: Database) {
  const clock = fixedClock()
  const inventory = makeInventory({ database, subjectsOf: () => [], now: clock.now })
  const add = (observations: readonly Observation[], connectionId = 'con_a', runId = 'r1') =>
    inventory.applyBatch({ connectionId, connector: 'example', runId, observations })
  const search = (text: string, more: Partial<SearchQuery> = {}) =>
    inventory.search({ text, filter: everything, sort: 'relevance', limit: 200, ...more })
  const names = async (text: string, more: Partial<SearchQuery> = {}) =>
    (await search(text, more)).items.map(({ name }) => name)
  const pages = async (text: string, more: Partial<SearchQuery> = {}) => {
    const all: string[] = []
    let cursor: string | undefined
    do {
      const { items, next } = await search(text, { limit: 7, ...more, ...(cursor !== undefined && { cursor }) })
      all.push(...items.map(({ name }) => name))
      cursor = next ?? undefined
    } while (cursor !== undefined)
    return all
  }
  return { clock, inventory, add, search, names, pages }
}

const asset = (externalId: string, name: string, more: Partial<Observation> = {}): Observation => ({
  kind: 'device',
  externalId,
  name,
  attributes: {},
  ...more,
})

const estate: readonly Observation[] = [
  asset('1', 'srv-fra1-web-01', {
    serial: 'CZJ123ABC9',
    addresses: ['10.20.0.11/24', '2001:db8::11/64'],
    site: 'Frankfurt 1',
    attributes: { model: 'PowerEdge R650', tags: ['production', 'shop'] },
  }),
  asset('2', 'srv-fra1-web-011', {
    serial: 'CZJ123ABC',
    addresses: ['10.20.0.111/24'],
    site: 'Frankfurt 1',
    attributes: { model: 'ProLiant DL380', memory: 262144 },
  }),
  asset('3', 'web-01', {
    addresses: ['110.20.0.11/32'],
    attributes: { mac: '00:50:56:AB:CD:EF', uuid: '4c4c4544-0042-3510-8052-b4c04f564433' },
  }),
  asset('4', 'Zürich Größe', { site: 'Zürich', attributes: { note: `it's "quoted" & 100% (special) \\ _under_` } }),
  asset('vm-1042', 'Core SW1', { kind: 'switch', attributes: { role: 'core of the network' } }),
  asset('6', '🚀🚀🚀 launch', { attributes: {} }),
  asset('7', 'c', { attributes: { model: 'PowerEdge R750' } }),
  asset('8', 'server für alle', { attributes: { owner: null, active: true } }),
  asset('9', '検索サーバ東京', {}),
  asset('10', 'uvwx-yzab', { serial: 'abcq' }),
  asset('11', 'ghijxlmn-_lmn'),
]

const finds: readonly [text: string, names: readonly string[]][] = [
  ['srv-fra1-web-01', ['srv-fra1-web-01', 'srv-fra1-web-011']],
  ['SRV-FRA1-WEB-011', ['srv-fra1-web-011']],
  ['fra1', ['srv-fra1-web-01', 'srv-fra1-web-011']],
  ['web-01', ['web-01', 'srv-fra1-web-01', 'srv-fra1-web-011']],
  ['10.20.0.', ['srv-fra1-web-01', 'srv-fra1-web-011', 'web-01']],
  ['10.20.0.11', ['srv-fra1-web-01', 'srv-fra1-web-011', 'web-01']],
  ['10.20.0.11/24', ['srv-fra1-web-01']],
  ['10.20.0.11/32', ['web-01']],
  ['2001:DB8::11', ['srv-fra1-web-01']],
  ['2001:db8', ['srv-fra1-web-01']],
  ['czj123abc', ['srv-fra1-web-011', 'srv-fra1-web-01']],
  ['123ABC9', ['srv-fra1-web-01']],
  ['poweredge', ['srv-fra1-web-01', 'c']],
  ['powered r65', ['srv-fra1-web-01']],
  ['powered r6', []],
  ['r650', ['srv-fra1-web-01']],
  ['production fra1', ['srv-fra1-web-01']],
  ['production fra1 web-011', []],
  ['eb-0 poweredge', ['srv-fra1-web-01']],
  ['262144', ['srv-fra1-web-011']],
  ['frankfurt', ['srv-fra1-web-01', 'srv-fra1-web-011']],
  ['frankfurt 1', ['srv-fra1-web-01', 'srv-fra1-web-011']],
  ['vm-1042', ['Core SW1']],
  ['1042', ['Core SW1']],
  ['00:50:56:ab:cd:ef', ['web-01']],
  ['00:50:56', ['web-01']],
  ['4c4c4544-0042-3510-8052-b4c04f564433', ['web-01']],
  ['zurich', ['Zürich Größe']],
  ['ZÜRICH', ['Zürich Größe']],
  ['grosse', ['Zürich Größe']],
  ['größe', ['Zürich Größe']],
  ['server fur', ['server für alle']],
  ['検索', ['検索サーバ東京']],
  ['サーバ', ['検索サーバ東京']],
  ['東京', []],
  ['🚀🚀🚀', ['🚀🚀🚀 launch']],
  ['🚀', ['🚀🚀🚀 launch']],
  ['core s', ['Core SW1']],
  ['core sw', ['Core SW1']],
  ['sw1 network', ['Core SW1']],
  ['c', ['c', 'Core SW1']],
  ['co', ['Core SW1']],
  ['x', []],
  ['device', []],
  ['nothing-like-this', []],
  ['yzabc', []],
  ['uvwxyzab', []],
  ['ghij_lmn', []],
  ['ghij%lmn', []],
  ['x-yz abc', ['uvwx-yzab']],
]

testOnEach('words find what they should, best first', inventoryMigrations, async (database) => {
  const { add, names, search } = setUp(database)
  await add(estate)

  for (const [text, expected] of finds) {
    assert.deepEqual([text, await names(text)], [text, expected])
    assert.deepEqual([text, (await search(text)).total], [text, expected.length])
  }
})

const hostile: readonly string[] = [
  '"',
  '""',
  "'",
  "''",
  '*',
  'a*',
  '***',
  '-',
  '--',
  '-a',
  'web -01',
  ':',
  'doc:web',
  'doc : web',
  'NEAR(',
  'NEAR(web 01, 2)',
  'NEAR',
  'AND',
  'OR',
  'NOT',
  'web AND',
  'OR web',
  'NOT NOT',
  'web OR 1=1',
  '(',
  ')',
  '((web)',
  '{doc}:',
  '^web',
  'web + 01',
  '+',
  '\\',
  '\\\\',
  "\\'",
  '%',
  '_',
  '%%%',
  'a_b',
  "'; drop table asset; --",
  "') or 1=1 --",
  '" OR doc : "',
  "web':*",
  '!web',
  'web & | !',
  '<->',
  'a <-> b',
  ':*',
  'web:*',
  '$1',
  '?',
  '\0',
  'web\0',
  '\0\0\0web',
  '\u{10ffff}',
  '\ud800',
  'x\udfff',
  '\u202eweb',
  '🚀',
  '👩‍👩‍👧‍👦',
  '́',
  '‍',
  '\u00ad\u00ad\u00ad',
  '   ',
  '\t\n',
  'ﷺ'.repeat(200),
  'a '.repeat(100),
  '🚀'.repeat(100),
  '"'.repeat(200),
  '('.repeat(200),
  '\\'.repeat(200),
  `${'x'.repeat(199)}"`,
  '_'.repeat(200),
]

testOnEach('no text is a syntax error or changes anything', inventoryMigrations, async (database) => {
  const { add, search, names } = setUp(database)
  await add(estate)

  for (const text of hostile) {
    for (const sort of ['relevance', '-updated'] as const) {
      const { items, total } = await search(text, { sort, facets: true })
      assert.equal(total, items.length, JSON.stringify(text))
    }
  }

  assert.equal((await names('')).length, estate.length)
  assert.deepEqual(await names('100%'), ['Zürich Größe'])
  assert.deepEqual(await names('%rich'), [])
  assert.deepEqual(await names('w_b'), [])
})

testOnEach('texts of more than 200 characters are refused', inventoryMigrations, async (database) => {
  const { search } = setUp(database)
  for (const text of ['x'.repeat(201), 'a"*'.repeat(3_400)])
    await assert.rejects(
      search(text),
      (error) => error instanceof Problem && error.type === 'invalid-input' && error.faults?.[0]?.field === '/q',
    )
})

/** Assets of which one text finds more than are ranked in memory, with hits in every tier. */
function crowd(size: number): Observation[] {
  return Array.from({ length: size }, (_, n) => {
    const number = String((n * 7_919) % size).padStart(4, '0')
    const shape = n % 9
    const name = shape === 0 ? `web-${number}` : shape === 1 ? 'web' : shape < 5 ? `srv-web${number}` : `box-${number}`
    const attributes =
      shape === 5
        ? { role: 'web' }
        : shape === 6
          ? { role: 'webserver' }
          : shape === 7
            ? { role: 'other' }
            : { role: 'db', u: `web${number}` }
    const status = ['active', 'failed', 'Active'][n % 3] ?? ''
    return asset(`${n}`, name, {
      kind: n % 2 ? 'device' : 'vm',
      site: `site ${n % 5}`,
      status,
      attributes,
      addresses: [`10.0.${n >> 8}.${n & 255}/24`],
      ...([0, 8].includes(n % 90) && { serial: 'web' }),
    })
  })
}

function naive(assets: readonly Observation[], text: string, keep: (asset: Observation) => boolean): string[] {
  const query = parseQuery(text)
  const documentOf = makeDocuments('con_a')
  const begins = (document: Document, word: string) => document.words.some((each) => each.startsWith(word))
  const matches = (document: Document) =>
    query.terms.every(({ text, short, words }) =>
      short
        ? document.heads.includes(text) || document.words.includes(text)
        : document.keys.some((key) => key.includes(text)) ||
          (words.length > 0 &&
            words.every(
              (word, at) =>
                document.words.includes(word) || (at === words.length - 1 && word.length > 2 && begins(document, word)),
            )),
    )
  return assets
    .map((each, seq) => ({ each, seq, document: documentOf(each) }))
    .filter(({ each, document }) => keep(each) && matches(document))
    .map(({ each, seq, document }) => ({ each, seq, tier: tierOf(document, query), key: document.nameKey }))
    .sort((a, b) => a.tier - b.tier || (a.tier === 1 && a.key !== b.key ? (a.key < b.key ? -1 : 1) : a.seq - b.seq))
    .map(({ each }) => each.externalId)
}

const crowdQueries: readonly [text: string, filter: Partial<Filter>, keep: (asset: Observation) => boolean][] = [
  ['web', {}, () => true],
  ['we', {}, ({ name }) => name.startsWith('we')],
  ['web 0', {}, () => true],
  ['10.0.', {}, () => true],
  ['srv web', {}, () => true],
  ['web', { kinds: ['vm'] }, ({ kind }) => kind === 'vm'],
  [
    'web',
    { sites: ['site 3'], statuses: ['active', 'failed'] },
    ({ site, status }) => site === 'site 3' && status !== 'Active',
  ],
  ['web', { source: 'con_other' }, () => false],
  ['role', {}, () => true],
  ['other', {}, () => true],
  ['webs', {}, () => true],
  ['web00', {}, () => true],
]

testOnEach(
  'matches come in the same order ranked at once, tier by tier and one by one, on every page',
  inventoryMigrations,
  async (database) => {
    const { add } = setUp(database)
    const assets = crowd(1_400)
    // PostgreSQL reads tiers by ranges of 16,384 numbers: let them end amid the assets, and one be empty.
    const moveTo = async (seq: number) => {
      if (database.dialect === 'postgres') await sql`select setval('asset_seq', ${seq})`.execute(database.db)
    }
    await moveTo(16_000)
    await add(assets.slice(0, 700))
    await moveTo(49_000)
    await add(assets.slice(700))
    const makeIndex = database.dialect === 'sqlite' ? makeSqliteIndex : makePostgresIndex

    for (const search of [makeSearch(database, makeIndex(database)), makeSearch(database, makeIndex(database, 0))]) {
      for (const [text, narrow, keep] of crowdQueries) {
        const ask: SearchQuery = { text, filter: { ...everything, ...narrow }, sort: 'relevance', limit: 83 }
        const found: string[] = []
        let cursor: string | undefined
        do {
          const page = await search({ ...ask, ...(cursor !== undefined && { cursor }) })
          found.push(...page.items.map(({ external_id }) => external_id))
          cursor = page.next ?? undefined
        } while (cursor !== undefined && found.length <= assets.length)
        const expected = text === 'we' ? byName(assets.filter(keep)) : naive(assets, text, keep)
        assert.deepEqual([text, narrow, found], [text, narrow, expected])
        assert.equal((await search({ ...ask, limit: 1 })).total, expected.length)
      }
    }
  },
)

function byName(assets: readonly Observation[]): string[] {
  return assets
    .map((each, seq) => ({ ...each, seq }))
    .sort((a, b) => (a.name === b.name ? a.seq - b.seq : a.name < b.name ? -1 : 1))
    .map(({ externalId }) => externalId)
}

const sorts: readonly [sort: SortName, names: readonly string[]][] = [
  ['relevance', ['a', 'B', 'ä', 'Z']],
  ['name', ['a', 'B', 'ä', 'Z']],
  ['-name', ['Z', 'ä', 'B', 'a']],
  ['updated', ['Z', 'B', 'ä', 'a']],
  ['-updated', ['a', 'ä', 'B', 'Z']],
]

testOnEach(
  'lists come in the order that is asked for, with a text and without',
  inventoryMigrations,
  async (database) => {
    const { add, names, pages, clock } = setUp(database)
    for (const name of ['Z', 'B', 'ä', 'a']) {
      await add([asset(name, `x${name}`, { attributes: { role: 'everyone' } })])
      clock.forward(1_000)
    }

    for (const [sort, expected] of sorts) {
      const wanted = expected.map((name) => `x${name}`)
      const byFirst = sort.endsWith('name') || sort === 'relevance' ? wanted.toSorted(reading(sort)) : wanted
      assert.deepEqual([sort, await names('', { sort })], [sort, byFirst])
      assert.deepEqual([sort, await names('x', { sort })], [sort, byFirst])
      assert.deepEqual([sort, await pages('', { sort, limit: 1 })], [sort, byFirst])
      if (sort !== 'relevance') assert.deepEqual([sort, await names('everyone', { sort })], [sort, byFirst])
    }
  },
)

// “ä” and “a” have one key; the earlier seen comes first.
function reading(sort: SortName) {
  const order = ['xä', 'xa', 'xB', 'xZ']
  return (a: string, b: string) => (order.indexOf(a) - order.indexOf(b)) * (sort === '-name' ? -1 : 1)
}

testOnEach('many matches can be sorted by name or by change, both ways', inventoryMigrations, async (database) => {
  const { add, pages, clock } = setUp(database)
  const assets = crowd(600).map((each) => ({
    ...each,
    name: `${each.name}-${each.externalId}`,
    addresses: ['192.0.2.1'],
  }))
  for (const part of [0, 1, 2]) {
    await add(assets.filter((_, n) => n % 3 === part))
    clock.forward(1_000)
  }
  const ascending = assets.map(({ name }) => name).sort()
  const changed = [0, 1, 2].flatMap((part) => assets.filter((_, n) => n % 3 === part).map(({ name }) => name))

  for (const text of ['192.0.2.1', '']) {
    assert.deepEqual(await pages(text, { sort: 'name', limit: 100 }), ascending)
    assert.deepEqual(await pages(text, { sort: '-name', limit: 100 }), ascending.toReversed())
    assert.deepEqual(await pages(text, { sort: 'updated', limit: 100 }), changed)
    assert.deepEqual(await pages(text, { sort: '-updated', limit: 100 }), changed.toReversed())
  }
})

testOnEach(
  'paging while assets come, change and go neither repeats nor skips an unchanged one',
  inventoryMigrations,
  async (database) => {
    const { inventory, search, clock } = setUp(database)
    const steady = Array.from({ length: 300 }, (_, n) =>
      asset(`s${n}`, `web-${String(n).padStart(3, '0')}`, { attributes: { role: 'web' } }),
    )
    const moving = (round: number) =>
      Array.from({ length: 60 }, (_, n) =>
        asset(`m${n}`, [`web-${(n * 37 + round * 101) % 300}x`, `box-web-${round}`, `gone-${round}`][(n + round) % 3]!),
      )
    const apply = (observations: readonly Observation[], gone: { kind: string; externalId: string }[] = []) =>
      inventory.applyBatch({ connectionId: 'con_a', connector: 'example', runId: 'r', observations, gone })

    for (const sort of ['relevance', 'name', '-name', 'updated', '-updated'] as const) {
      for (const text of ['web', 'we', '']) {
        await apply([...steady, ...moving(0)])
        const seen: string[] = []
        let cursor: string | undefined
        for (let round = 1; round === 1 || cursor !== undefined; round++) {
          const page = await search(text, { sort, limit: 50, ...(cursor !== undefined && { cursor }) })
          seen.push(...page.items.map(({ external_id }) => external_id))
          cursor = page.next ?? undefined
          clock.forward(1_000)
          const gone = moving(0).slice(round % 50, (round % 50) + 10)
          if (round < 40) await apply([asset(`n${round}`, `web-${round}-new`), ...moving(round)], gone)
        }
        const unchanged = seen.filter((id) => id.startsWith('s'))
        assert.deepEqual([sort, text, unchanged.length, new Set(unchanged).size], [sort, text, 300, 300])
      }
    }
  },
)

const filters: readonly [what: string, filter: Partial<Filter>, names: readonly string[]][] = [
  ['kind', { kinds: ['vm'] }, ['b', 'd']],
  ['two kinds', { kinds: ['vm', 'device'] }, ['a', 'b', 'c', 'd']],
  ['source', { source: 'con_b' }, ['d']],
  ['unknown source', { source: 'con_x' }, []],
  ['status', { statuses: ['active'] }, ['a', 'b']],
  ['status in other letters', { statuses: ['ACTIVE'] }, ['c']],
  ['site', { sites: [`it's "1"`] }, ['a', 'd']],
  ['long site', { sites: [`${'s'.repeat(150)}1`] }, ['c']],
  ['everything', { kinds: ['device'], source: 'con_a', statuses: ['active'], sites: [`it's "1"`] }, ['a']],
  ['stale', { stale: true }, ['e']],
  ['stale and kind', { stale: true, kinds: ['vm'] }, []],
  ['hostile', { sites: [`' or 1=1 --`], kinds: ['") OR ("'] }, []],
]

testOnEach('filters narrow, with a text and without, and compare exactly', inventoryMigrations, async (database) => {
  const { add, inventory, names } = setUp(database)
  await add([asset('e', 'common-e', { status: 'active' })])
  const long = 's'.repeat(150)
  await add(
    [
      asset('a', 'common-a', { status: 'active', site: `it's "1"` }),
      asset('b', 'common-b', { status: 'active', site: `${long}2`, kind: 'vm' }),
      asset('c', 'common-c', { status: 'ACTIVE', site: `${long}1` }),
    ],
    'con_a',
    'r2',
  )
  await add([asset('d', 'common-d', { kind: 'vm', site: `it's "1"` })], 'con_b')
  await inventory.finishFullRun({ connectionId: 'con_a', runId: 'r2' })

  for (const text of ['', 'common', 'mmon-', 'co', 'common-']) {
    for (const [what, narrow, expected] of filters) {
      const filter = { ...everything, ...narrow }
      assert.deepEqual(
        [text, what, await names(text, { filter })],
        [text, what, expected.map((name) => `common-${name}`)],
      )
    }
  }
})

testOnEach('facets equal a recount of the matches', inventoryMigrations, async (database) => {
  const { add, search } = setUp(database)
  const assets = crowd(700)
  await add(assets)
  await add(crowd(40), 'con_b')
  const all = [
    ...assets.map((each) => ({ ...each, source: 'con_a' })),
    ...crowd(40).map((each) => ({ ...each, source: 'con_b' })),
  ]

  for (const [text, filter] of [
    ['', {}],
    ['', { kinds: ['vm'] }],
    ['web', {}],
    ['web', { statuses: ['active'] }],
    ['10.0.0.7', {}],
    ['we', {}],
    ['nothing', {}],
  ] as const) {
    const found = new Map<string, number>()
    let cursor: string | undefined
    do {
      const page = await search(text, { filter: { ...everything, ...filter }, ...(cursor !== undefined && { cursor }) })
      for (const { connection_id, external_id } of page.items) {
        const { kind, status, site, source } = all.find(
          (each) => each.source === connection_id && each.externalId === external_id,
        )!
        for (const [facet, value] of Object.entries({ kind, status, site, source }))
          found.set(`${facet} ${value}`, (found.get(`${facet} ${value}`) ?? 0) + 1)
      }
      cursor = page.next ?? undefined
    } while (cursor !== undefined)

    const { facets } = await search(text, { filter: { ...everything, ...filter }, facets: true, limit: 1 })

    const { capped, ...counted } = facets!
    const flat = Object.entries(counted).flatMap(([facet, values]) =>
      values.map(({ value, count }) => [`${facet} ${value}`, count] as const),
    )
    assert.deepEqual(
      [text, filter, Object.fromEntries(flat.toSorted())],
      [text, filter, Object.fromEntries([...found].toSorted())],
    )
    assert.equal(capped, false)
    for (const values of Object.values(counted))
      assert.deepEqual(
        values,
        values.toSorted((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1)),
      )
  }
})

testOnEach('facets list the 20 most frequent values', inventoryMigrations, async (database) => {
  const { add, search } = setUp(database)
  await add(
    Array.from({ length: 300 }, (_, n) =>
      asset(`${n}`, `web-${n}`, { site: `site-${String(n % 24).padStart(2, '0')}` }),
    ),
  )

  for (const text of ['', 'web']) {
    const { facets } = await search(text, { facets: true })
    assert.deepEqual(
      facets?.site,
      Array.from({ length: 20 }, (_, n) => ({ value: `site-${String(n).padStart(2, '0')}`, count: n < 12 ? 13 : 12 })),
    )
    assert.deepEqual(facets?.status, [])
  }
})

testOnEach(
  'totals are exact up to 10,000 and then unknown, and facets say that they are capped',
  inventoryMigrations,
  async (database) => {
    const { add, search } = setUp(database)
    const batch = (from: number, size: number) =>
      add(
        Array.from({ length: size }, (_, n) =>
          asset(`${from + n}`, `web-${from + n}`, { attributes: { role: 'role' } }),
        ),
      )
    for (let from = 0; from < 10_000; from += 1_000) await batch(from, 1_000)
    const state = async (text: string) => {
      const { total, facets } = await search(text, { facets: true, limit: 1 })
      return [text, total, facets?.kind[0]?.count, facets?.capped]
    }
    for (const text of ['', 'web', 'we', 'role']) assert.deepEqual(await state(text), [text, 10_000, 10_000, false])

    await batch(10_000, 1)

    for (const text of ['web', 'we', 'role', 'rol']) assert.deepEqual(await state(text), [text, null, 10_000, true])
    assert.deepEqual(await state(''), ['', null, 10_001, false])
    const sorted = await search('role', { sort: '-name', limit: 2 })
    assert.deepEqual(
      sorted.items.map(({ name }) => name),
      ['web-9999', 'web-9998'],
    )
  },
)

testOnEach('a cursor is only good for its own query', inventoryMigrations, async (database) => {
  const { add, search } = setUp(database)
  await add(crowd(30))
  const { next } = await search('web', { limit: 1 })
  const cursor = next ?? ''

  const refused: readonly [string, Partial<SearchQuery>][] = [
    ['srv', { cursor }],
    ['web', { cursor, sort: 'name' }],
    ['web', { cursor, filter: { ...everything, kinds: ['vm'] } }],
    ['web', { cursor: `${cursor}x` }],
    ['web', { cursor: 'x' }],
  ]
  for (const [text, more] of refused)
    await assert.rejects(search(text, more), (error) => error instanceof Problem && error.type === 'invalid-input')
  assert.equal((await search('web', { cursor, limit: 200 })).items.length, (await search('web')).items.length - 1)
})

test('the tables of this file have no two rows for one text', () => {
  assert.equal(new Set(finds.map(([text]) => text)).size, finds.length)
})
