import assert from 'node:assert/strict'
import { test } from 'node:test'
import { multipart } from './multipart.ts'
import { plainText, tablePage } from './storage.ts'

test('A table is escaped: no cell becomes markup, and control characters are dropped', () => {
  const html = tablePage(
    ['<b>'],
    [['<script>&"\'\u0000\u001b]]>'], [1], [true], [null], ['a\r\nb\uffff']],
    '<ac:macro/>',
  )

  assert.equal(
    html,
    '<p>&#60;ac:macro/&#62;</p><table><tbody><tr><th>&#60;b&#62;</th></tr><tr><td>&#60;script&#62;&#38;&#34;&#39;]]&#62;</td></tr><tr><td>1</td></tr><tr><td>true</td></tr><tr><td></td></tr><tr><td>a<br/>b</td></tr></tbody></table><p><em>Published by Infrastructure Atlas. What is changed here is lost at the next publication.</em></p>',
  )
  assert.match(plainText(html), /^<ac:macro\/>\n<b>\t?\n<script>&"']]>/)
})

test('The text of a page has its words, without markup and without parameters of macros', () => {
  const storage =
    '<h1>Restore</h1><p>Log in to&nbsp;ams1 &#38; wait.<br/>Then:</p><ac:structured-macro ac:name="jdbc"><ac:parameter ac:name="password">hunter2</ac:parameter><ac:plain-text-body><![CDATA[df -h <x> && y]]></ac:plain-text-body></ac:structured-macro>'

  assert.equal(plainText(storage), 'Restore\nLog in to ams1 & wait.\nThen:\ndf -h <x> && y')
})

test('A multipart body is read back by another reader as it was, bytes and all', async () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
  const { contentType, body } = multipart([
    { name: 'file', fileName: 'poročilo ☂.bin', contentType: 'application/octet-stream', content: bytes },
    { name: 'comment', contentType: 'text/plain; charset=utf-8', content: 'čšž' },
  ])

  const form = await new Response(body as BodyInit, { headers: { 'content-type': contentType } }).formData()
  const file = form.get('file') as File

  assert.deepEqual([file.name, form.get('comment')], ['poročilo ☂.bin', 'čšž'])
  assert.deepEqual(new Uint8Array(await file.arrayBuffer()), bytes)
  assert.notEqual(contentType, multipart([]).contentType, 'the boundary is random')
})

const long = 1_000_000
// Each took minutes or hours while a pattern began anew at every character.
for (const [name, storage, text] of [
  ['parameters without an end', '<ac:parameter '.repeat(long), undefined],
  ['CDATA without an end', '<![CDATA['.repeat(long), undefined],
  ['spaces', `a${' '.repeat(long)}b\n`, `a${' '.repeat(long)}b`],
  ['CDATA in text', 'a<![CDATA[<b>&amp;]]>c<![CDATA[d]]>', 'a<b>&amp;cd'],
] as const)
  test(`The words of a page are found at once, whoever wrote it: ${name}`, () => {
    const words = plainText(storage)

    if (text !== undefined) assert.equal(words, text)
  })
