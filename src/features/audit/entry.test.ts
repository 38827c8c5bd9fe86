import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { newId } from '../../lib/ids.ts'
import { checkLog } from '../../testing/check-log.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import { draftOf, leafOf, maxEntryBytes } from './entry.ts'
import type { AuditEvent } from './event.ts'
import { openLog } from './log.ts'
import { auditMigrations } from './migrations.ts'

const at = '2026-01-01T00:00:00.000Z'

// AUD-6: what could pass for the boundary of a record, a note or a terminal line.
const nasty = [
  'a\r\nb',
  'a\u2028b\u2029c',
  '\n\n— atlas.example/log AAAA\n',
  '— forged',
  '\u001b[2J\u001b[31mred',
  '","code":"login.succeeded"',
  '\ud800',
  '\u0000',
  '../../checkpoint',
  'Ada Example',
]

test('the leaf of an event is canonical JSON with words, ids and pseudonyms only', () => {
  const [request, approval, connection] = [newId('req'), newId('apr'), newId('con')]
  const draft = draftOf(
    {
      code: 'action.succeeded',
      principal: { id: 'usr-login-name', kind: 'agent', name: 'Ada', tokenId: newId('tok'), onBehalfOf: 'grace' },
      door: 'mcp',
      action: 'netbox.journal.add',
      access: 'write',
      requestId: request,
      resource: { type: 'connection', id: connection },
      outcome: 'ok',
      decision: { effect: 'permit', policies: ['operator-write'], version: '7' },
      inputHash: 'c2VjcmV0',
      approval,
      detail: { remoteAddress: '192.0.2.1' },
    },
    at,
  )
  const leaf = leafOf(draft, {
    seq: 9,
    subject: 'sub_a',
    onBehalfOf: 'sub_b',
    resource: { type: 'connection', id: connection },
    payloadCommit: 'AAAA',
  })

  assert.equal(
    leaf.toString(),
    `{"access":"write","action":"netbox.journal.add","approval":"${approval}","at":"${at}","code":"action.succeeded",` +
      `"decision":{"effect":"permit","policies":["operator-write"],"version":"7"},"door":"mcp","kind":"agent",` +
      `"onBehalfOf":"sub_b","outcome":"ok","payloadCommit":"AAAA","requestId":"${request}",` +
      `"resource":{"id":"${connection}","type":"connection"},"seq":9,"subject":"sub_a","v":1}`,
  )
})

test('text that is not one of our words or ids is sealed, wherever it stands (AUD-5, AUD-6)', () => {
  for (const text of nasty) {
    const draft = draftOf(
      {
        code: 'action.failed',
        principal: { id: text, kind: text, name: text, tokenId: text, onBehalfOf: text },
        door: text,
        action: text,
        access: text,
        requestId: text,
        resource: { type: text, id: text },
        outcome: text,
        decision: { effect: text, policies: [text], version: text },
        inputHash: text,
        approval: text,
        detail: { [text]: text },
      },
      at,
    )
    assert.deepEqual(draft.words, { at, code: 'action.failed' }, JSON.stringify(text))
    assert.equal(draft.resource, undefined)
  }
})

test('a person as a resource becomes a pseudonym too', () => {
  const id = newId('usr')
  const cases: [AuditEvent['resource'], boolean][] = [
    [{ type: 'user', id }, true],
    [{ type: 'principal', id }, true],
    [{ type: 'token', id }, true],
    [{ type: 'user', id: '*' }, false],
    [{ type: 'connection', id: newId('con') }, false],
  ]
  for (const [resource, personal] of cases)
    assert.equal(
      draftOf({ code: 'action.started', principal: { id, kind: 'user' }, resource: resource! }, at).resource?.personal,
      personal,
    )
})

test('any event makes a leaf that fits a bundle and has no control character', () => {
  const text = fc.string({ unit: 'binary', maxLength: 200 })
  fc.assert(
    fc.property(
      fc.record(
        {
          door: text,
          action: text,
          access: text,
          requestId: text,
          outcome: text,
          inputHash: text,
          approval: text,
          resource: fc.record({ type: text, id: text }),
          detail: fc.dictionary(text, fc.anything({ withBigInt: true, withDate: true, withMap: true })),
        },
        { requiredKeys: [] },
      ),
      (event) => {
        const draft = draftOf({ code: 'action.failed', ...(event as object) }, at)
        const leaf = leafOf(draft, { seq: 0 })
        assert.ok(leaf.length <= maxEntryBytes)
        assert.doesNotMatch(leaf.toString(), /[^\x20-\x7e]/)
      },
    ),
  )
})

const round: Record<string, unknown> = {}
round['self'] = round
const awkward: [string, Record<string, unknown>, (detail: Record<string, unknown>) => boolean][] = [
  ['100 kB of text', { text: 'x'.repeat(100_000) }, (detail) => detail['truncated'] === true],
  ['10 MB of rows', { rows: Array(100_000).fill('row '.repeat(25)) }, (detail) => detail['truncated'] === true],
  ['emoji cut in the middle', { text: '😀'.repeat(50_000) }, (detail) => detail['truncated'] === true],
  ['something circular', round, (detail) => detail !== undefined],
  ['a bigint', { big: 10n }, (detail) => detail['big'] === '10'],
  ['a lone surrogate', { text: '\ud800' }, (detail) => 'text' in detail],
  ['a function and NaN', { run: () => 1, nan: Number.NaN }, (detail) => detail['nan'] === null],
]

testOnEach(
  'a detail that is too large or not JSON is cut or replaced, and the call goes on',
  auditMigrations,
  async (database) => {
    const log = await openLog({ database, rootKey: testRootKey, now: fixedClock().now })
    for (const [what, detail, right] of awkward) {
      const { index } = await log.append({ code: 'action.started', principal: { id: 'ada', kind: 'user' }, detail })
      const { record, leaf } = await log.read(index)
      assert.ok(leaf.length < 1000, what)
      assert.equal(record.personal, 'read', what)
      assert.ok(what === 'something circular' || right(record.detail as Record<string, unknown>), what)
    }
    await log.append({ code: 'action.failed', resource: { type: 'asset', id: 'y'.repeat(1_000_000) } })
    await checkLog(database, testRootKey)
  },
)

testOnEach('no field moves a boundary of an entry or of the checkpoint (AUD-6)', auditMigrations, async (database) => {
  const log = await openLog({ database, rootKey: testRootKey, now: fixedClock().now })
  for (const text of nasty)
    await log.append({
      code: 'login.failed',
      principal: { id: text, kind: text, name: text },
      door: text,
      action: text,
      resource: { type: text, id: text },
      outcome: text,
      detail: { username: text },
    })
  const bundle = (await log.tile(`tile/entries/000.p/${nasty.length}`))!

  assert.equal(bundle.toString('latin1').split('"code":"login.failed"').length - 1, nasty.length)
  assert.doesNotMatch(bundle.toString('latin1'), /[\r\n]|\[2J|forged|login\.succeeded|Ada/)
  assert.equal((await log.checkpoint()).split('\n').length, 6)
  assert.deepEqual(await checkLog(database, testRootKey), { size: nasty.length })
})
