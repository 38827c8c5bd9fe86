import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseXml, XmlFault } from './xml.ts'

const many = 1_000_001
for (const [name, text] of [
  ['a document type', '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'],
  ['an entity of its own', '<a>&b;</a>'],
  ['deep nesting', '<a>'.repeat(65) + '</a>'.repeat(65)],
  ['more elements than memory is for', `<a>${'<b/>'.repeat(many)}</a>`],
  ['more attributes than memory is for', `<a>${'<b c="" d=""/>'.repeat(many / 3 + 1)}</a>`],
] as const)
  test(`XML is refused: ${name}`, () => {
    assert.throws(() => parseXml(text), XmlFault)
  })

test('an attribute called __proto__ is an attribute', () => {
  const { attributes } = parseXml('<a __proto__="x" n:b="c" xmlns:n="urn:n"/>')

  assert.deepEqual(Object.entries(attributes), [
    ['__proto__', 'x'],
    ['b', 'c'],
  ])
})
