import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keysOfText, marksOf } from './marks.ts'

// What a system or an agent on a machine sends as an address or a name can be anything, of any length.
for (const part of ['%', '/1', 'a.', '.', '00 ', '-', ' ', 'ff:'])
  test(`marks of a long text are found at once: ${JSON.stringify(part)} over and over (it took hours)`, () => {
    const text = `x${part.repeat(1_000_000)}\nx`
    const machine = { hostNames: [text], fqdns: [text], uuids: [text], macs: [text] }

    const marks = marksOf({
      kind: 'host',
      externalId: '1',
      name: 'n',
      serial: text,
      addresses: [text],
      attributes: {},
      machine,
    })

    assert.deepEqual([marks, keysOfText(text)], [marks && { ...marks, addresses: [], names: [], serials: [] }, []])
  })
