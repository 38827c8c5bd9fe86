import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { emptyRoot } from './merkle.ts'
import {
  formatCheckpoint,
  formatVkey,
  isKeyName,
  NoteError,
  openNote,
  parseCheckpoint,
  parseNote,
  parseVkey,
  signNote,
} from './signed-note.ts'

// The example of C2SP signed-note.md.
const exampleVkey = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k'
const exampleText = 'This is an example message.\n'
const exampleLine =
  '— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n'
const example = Buffer.from(`${exampleText}\n${exampleLine}`)

const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const vkey = parseVkey(formatVkey('atlas.example/log', publicKey))

test('the example of the specification verifies and its key is read and written', () => {
  const key = parseVkey(exampleVkey)

  assert.equal(openNote(example, key), exampleText)
  assert.equal(formatVkey(key.name, key.publicKey), exampleVkey)
})

test('the example with any one byte changed does not verify', () => {
  const key = parseVkey(exampleVkey)
  for (const at of example.keys())
    for (const mask of [1, 0x20, 0x80]) {
      const bad = Buffer.from(example)
      bad[at] = bad[at]! ^ mask
      assert.throws(() => openNote(bad, key), NoteError, `byte ${at}`)
    }
})

test('what is signed opens, whatever empty lines and dashes the text has', () => {
  for (const text of ['a\n', 'a\n\nb\n', '— x y\n\n— atlas.example/log AAAA\n', 'ünïcode \u2028 line\n', '\n'])
    assert.equal(openNote(Buffer.from(signNote(text, vkey.name, privateKey)), vkey), text)
})

test('unknown signatures are ignored, at least 16 are read, and one wrong signature of the known key rejects', () => {
  const note = signNote('text\n', vkey.name, privateKey)
  const others = Array.from({ length: 20 }, () => generateKeyPairSync('ed25519').privateKey).map(
    (key, i) => signNote('text\n', `witness${i}`, key).split('\n\n')[1],
  )
  const wrong = signNote('other\n', vkey.name, privateKey).split('\n\n')[1]

  assert.equal(openNote(Buffer.from(note + others.join('')), vkey), 'text\n')
  assert.equal(parseNote(Buffer.from(note + others.join(''))).signatures.length, 21)
  assert.throws(() => openNote(Buffer.from(note + wrong), vkey), /does not match/)
  assert.throws(() => openNote(Buffer.from(`text\n\n${others.join('')}`), vkey), /no signature of/)
})

test('what is not a note is refused', () => {
  const line = exampleLine
  for (const bad of [
    '',
    'text\n',
    'text\n\n',
    `text\n${line}`,
    `${exampleText}\n${line.trimEnd()}`,
    `This is\r an example message.\n\n${line}`,
    `te\u0000xt\n\n${line}`,
    `${exampleText}\n${line}\n`,
    `${exampleText}\n${line.replace('—', '-')}`,
    `${exampleText}\n${line.replace('foo ', 'foo  ')}`,
    `${exampleText}\n${line.replace('foo', 'f+o')}`,
    `${exampleText}\n${line.replace('aQM=', 'aQM')}`,
    `text\n\n— name AAAA\n`,
    `${exampleText}\n${line.repeat(65)}`,
    `\ufeff${exampleText}\n${line}`,
  ])
    assert.throws(() => openNote(Buffer.from(bad), parseVkey(exampleVkey)), NoteError, JSON.stringify(bad.slice(0, 40)))
  assert.throws(() => parseNote(Buffer.from([0xff, 0x0a, 0x0a])), /UTF-8/)
})

test('a text that would break the note cannot be signed', () => {
  for (const text of ['no newline', 'cr\r\n', 'nul\0\n', 'lone \ud800\n'])
    assert.throws(() => signNote(text, vkey.name, privateKey), NoteError)
  for (const name of ['', 'two words', 'a+b', 'a\u2003b', 'a\nb', 'a\u00a0b', 'a\u0007'])
    assert.deepEqual([isKeyName(name), fails(() => signNote('a\n', name, privateKey))], [false, true])
})

test('a verifier key with any one character changed is refused', () => {
  for (const at of Buffer.from(exampleVkey).keys())
    for (const mask of [1, 0x20]) {
      const bad = Buffer.from(exampleVkey)
      bad[at] = bad[at]! ^ mask
      assert.throws(() => parseVkey(bad.toString('latin1')), NoteError, `character ${at}`)
    }
  for (const bad of [
    '',
    'name',
    exampleVkey.toUpperCase(),
    `${exampleVkey}\n`,
    `${exampleVkey}=`,
    exampleVkey.slice(0, -4),
  ])
    assert.throws(() => parseVkey(bad), NoteError)
})

test('a checkpoint is read as it was written', () => {
  const checkpoint = { origin: 'atlas.example/log', size: 0, root: emptyRoot }

  assert.deepEqual(parseCheckpoint(formatCheckpoint(checkpoint)), checkpoint)
  assert.equal(formatCheckpoint(checkpoint), 'atlas.example/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n')
  assert.deepEqual(parseCheckpoint(`${formatCheckpoint(checkpoint)}extension line\n`), checkpoint)
})

test('a text that is not a checkpoint is refused', () => {
  const root = emptyRoot.toString('base64')
  for (const bad of [
    '',
    'origin\n',
    `origin\n0\n${root}`,
    `\n0\n${root}\n`,
    `origin\n00\n${root}\n`,
    `origin\n-1\n${root}\n`,
    `origin\n1e3\n${root}\n`,
    `origin\n9007199254740993\n${root}\n`,
    `origin\n0\n${root.slice(0, -1)}\n`,
    `origin\n0\n${root.replace('=', 'A')}\n`,
    `origin\n0\nAAAA\n`,
    `origin\n0\n${root}\n\nextension\n`,
  ])
    assert.throws(() => parseCheckpoint(bad), NoteError, JSON.stringify(bad))
})

function fails(run: () => unknown): boolean {
  try {
    run()
    return false
  } catch {
    return true
  }
}
