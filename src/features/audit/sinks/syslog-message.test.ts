import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseMessage, readFrames, SyslogError } from '../../../../simulators/audit-receivers/syslog-parser.ts'
import { leafHash } from '../../../lib/merkle.ts'
import { catalogue } from '../catalogue.ts'
import { draftOf, leafOf } from '../entry.ts'
import { framed, syslogMessage } from './syslog-message.ts'

const from = { origin: 'atlas.example/audit', hostname: 'hub-1.example.org', pid: 4711, enterprise: 32473 }

function entryOf(leaf: string | Buffer, index = 7) {
  const bytes = Buffer.from(leaf)
  return { index, leaf: bytes, hash: leafHash(bytes) }
}

const leafWith = (members: Record<string, unknown>) =>
  JSON.stringify({ at: '2026-11-26T04:05:06.789Z', code: 'action.succeeded', ...members })

test('a message has exactly the bytes that RFC 5424 §6 and RFC 5425 §4.3 give it', () => {
  const leaf = '{"at":"2026-11-26T04:05:06.789Z","code":"action.failed","outcome":"denied","seq":7,"v":1}'
  const hash = leafHash(Buffer.from(leaf)).toString('base64')
  const expected = Buffer.concat([
    Buffer.from('<108>1 2026-11-26T04:05:06.789Z hub-1.example.org infrastructure-atlas 4711 action.failed '),
    Buffer.from(`[atlas@32473 index="7" origin="atlas.example/audit" leafHash="${hash}"] `),
    Buffer.from([0xef, 0xbb, 0xbf]),
    Buffer.from(leaf),
  ])

  const message = syslogMessage(entryOf(leaf), from)

  assert.deepEqual(message, expected)
  assert.equal(framed(message).toString('latin1', 0, 4), `${expected.length} `)
})

test('the severity comes from the outcome and from what the code means', () => {
  const cases: [members: Record<string, unknown>, severity: number][] = [
    [{}, 6],
    [{ outcome: 'ok' }, 6],
    [{ outcome: 'denied' }, 4],
    [{ code: 'login.failed', outcome: 'unauthenticated' }, 4],
    [{ code: 'vault.integrity-failed' }, 2],
    [{ code: 'log.witness-contradicts', outcome: 'conflict' }, 2],
  ]
  for (const [members, severity] of cases) {
    const read = parseMessage(syslogMessage(entryOf(leafWith(members)), from))
    assert.deepEqual([read.facility, read.severity], [13, severity], JSON.stringify(members))
  }
})

test('every code of the catalogue fits a MSGID', () => {
  for (const code of Object.keys(catalogue))
    assert.equal(parseMessage(syslogMessage(entryOf(leafWith({ code })), from)).msgId, code)
})

const attacks = [
  'a\r\nb',
  'x" evil="1',
  'x] [other@1 a="b"',
  'back\\slash\\"',
  '\u2028\u2029',
  '— not.the.origin AAAA',
  '\u001b[31mred\u001b[0m',
  '\u0000\u0007',
  '‮reversed',
  '<0>1 - - - - - - forged',
  '99999 <14>1 - - - - - -',
  '日本語',
  'a'.repeat(5_000),
]

test('what somebody puts into a name changes no boundary of a message (AUD-6)', () => {
  for (const attack of attacks) {
    const draft = draftOf(
      {
        code: 'action.failed',
        principal: { id: attack, kind: attack, name: attack, onBehalfOf: attack },
        action: attack,
        resource: { type: attack, id: attack },
        outcome: attack,
        requestId: attack,
        door: attack,
        approval: attack,
        detail: { attack },
      },
      '2026-11-26T04:05:06.789Z',
    )
    const leaf = leafOf(draft, { seq: 7 })
    const message = syslogMessage(entryOf(leaf), from)

    const read = parseMessage(message)
    assert.equal(read.text, leaf.toString('utf8'))
    assert.equal(read.text.includes('\n') || read.text.includes('\u001b') || read.text.includes('\u2028'), false)
    const { messages, rest } = readFrames(Buffer.concat([framed(message), framed(message)]))
    assert.deepEqual([messages.length, rest.length], [2, 0])
  }
})

test('values of the structured data are escaped as §6.3.3 says, and fields of the header that do not fit are left out', () => {
  for (const attack of attacks) {
    const leaf = leafWith({ code: attack, at: attack })
    const message = syslogMessage(entryOf(leaf), { ...from, origin: attack, hostname: attack })

    const read = parseMessage(message)
    const [[id, parameters] = ['', []]] = read.data
    assert.deepEqual([id, parameters.find(([name]) => name === 'origin')?.[1]], ['atlas@32473', attack])
    assert.deepEqual([read.timestamp, read.appName, read.procId], [undefined, 'infrastructure-atlas', '4711'])
    assert.ok(read.hostname === undefined || read.hostname === attack)
    assert.ok(read.msgId === undefined || read.msgId === attack)
    assert.equal(read.text, leaf)
  }
})

test('the strict receiver refuses what is not exactly RFC 5424 in RFC 5425 frames', () => {
  const good = '<110>1 2026-11-26T04:05:06.789Z h a p m [x@1 k="v"] \ufefftext'
  parseMessage(Buffer.from(good))
  const bad: [why: string, message: string][] = [
    ['a priority above 191', good.replace('<110>', '<192>')],
    ['another version', good.replace('>1 ', '>2 ')],
    ['no such day', good.replace('11-26', '02-30')],
    ['seven digits of a second', good.replace('.789Z', '.7891234Z')],
    ['a leap second', good.replace('05:06', '05:60')],
    ['an empty field', good.replace(' h ', '  ')],
    ['an SD-ID of nobody', good.replace('x@1', 'x')],
    ['a bracket that is not escaped', good.replace('"v"', '"v]"')],
    ['a quote that is not escaped', good.replace('"v"', '"v"w"')],
    ['an SD-ID that comes twice', good.replace('"] ', '"][x@1 k="v"] ')],
    ['a text without its mark', good.replace('\ufeff', '')],
    ['a MSGID of 33 octets', good.replace(' m ', ` ${'m'.repeat(33)} `)],
  ]
  for (const [why, message] of bad) assert.throws(() => parseMessage(Buffer.from(message)), SyslogError, why)
  for (const frame of ['0 ', '012 x', '-1 x', `x${good}`, '+5 hello'])
    assert.throws(() => readFrames(Buffer.from(frame)), SyslogError, frame)
  assert.throws(() => parseMessage(Buffer.from(`${good}\xff`, 'latin1')), SyslogError)
})
