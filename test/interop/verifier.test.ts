import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject, randomBytes, sign, verify as verifyWithNode } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { newFolder } from '../../src/testing/server.ts'
import {
  bundle,
  flip,
  noPython,
  noteKey,
  put,
  refused,
  run,
  signedNote,
  tilePath,
  unbundle,
  verify,
  writeLog,
} from './material.ts'

// That verify.py itself is right: published vectors, OpenSSL beside it, and logs that were made without the product.

const base64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

describe('verify.py by itself', { skip: noPython }, () => {
  test('passes published vectors: RFC 8032, RFC 6962, signed-note, tlog-tiles, CCTV ML-DSA-44 (AUD-3, claims: C25)', async () => {
    const { code, text } = await run('python3', [join(import.meta.dirname, 'vectors.py')])
    assert.equal(code, 0, text)
    assert.doesNotMatch(text, /FAIL/)
    assert.match(text, /ok {3}CCTV ML-DSA-44 accumulated, 100 iterations/)
  })

  test("judges signatures, good and spoiled, as Node's OpenSSL does (AUD-3, claims: C25)", async () => {
    const cases = [...signatures('ed25519', 12, 64), ...signatures('ml-dsa-44', 12, 2420), ...badHints()]
    const program = [
      'import json, sys',
      `sys.path.insert(0, ${JSON.stringify(import.meta.dirname)})`,
      'import verify',
      'for line in sys.stdin:',
      '    kind, key, message, signature = json.loads(line)',
      '    check = verify.ed25519_verify if kind == "ed25519" else verify.mldsa44_verify',
      '    print(check(bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)))',
    ].join('\n')
    const input = cases.map(({ kind, raw, message, signature }) =>
      JSON.stringify([kind, raw.toString('hex'), message.toString('hex'), signature.toString('hex')]),
    )
    const { code, text } = await run('python3', ['-c', program], {}, `${input.join('\n')}\n`)
    assert.equal(code, 0, text)
    const said = text.trim().split('\n')
    assert.equal(said.length, cases.length)
    for (const [i, { key, message, signature, what }] of cases.entries())
      assert.equal(said[i], verifyWithNode(null, message, key, signature) ? 'True' : 'False', what)
    assert.equal(said.filter((verdict) => verdict === 'True').length, 24)
  })

  test('verifies trees of every shape up to three levels of tiles (AUD-3, claims: C25)', async (t) => {
    for (const size of [0, 1, 2, 3, 255, 256, 257, 513, 65_536, 70_000]) {
      const folder = newFolder(t)
      writeLog(folder, size)
      const { code, text } = await verify('log', folder)
      assert.equal(code, 0, `${size}: ${text}`)
      assert.match(text, new RegExp(`verified +${size} entries`))
    }
  })

  test('takes a pruned log only with its minimum index, and says what is not there (AUD-3, claims: C25)', async (t) => {
    const folder = newFolder(t)
    writeLog(folder, 70_000)
    for (const index of [0, 1, 2]) {
      rmSync(join(folder, tilePath('entries', index, 256)))
      rmSync(join(folder, tilePath(0, index, 256)))
    }
    refused(await verify('log', folder), /tile\/0\/000: is not there .*--minimum 256 or more/)
    refused(await verify('log', folder, '--minimum', '767'), /tile\/0\/002: is not there/)
    const pruned = await verify('log', folder, '--minimum', '768')
    assert.equal(pruned.code, 0, pruned.text)
    assert.match(pruned.text, /verified +69232 entries/)
    assert.match(pruned.text, /not there, below the minimum index 768: 3 of tile\/0, 3 of tile\/entries/)
    for (let index = 3; index < 256; index++) rmSync(join(folder, tilePath('entries', index, 256)))
    rmSync(join(folder, 'tile/1/000'))
    // Hash 0 of tile/2 is now all that is left of the first 65,536 entries; level 0 still has tiles that hang in the air.
    refused(await verify('log', folder, '--minimum', '65536'), /tile\/0\/003: cannot be verified/)
    for (let index = 3; index < 256; index++) rmSync(join(folder, tilePath(0, index, 256)))
    assert.equal((await verify('log', folder, '--minimum', '65536')).code, 0)
    flip(folder, 'tile/2/000.p/1', 7)
    refused(await verify('log', folder, '--minimum', '65536'), /checkpoint line 3/)
  })

  test('takes older partial tiles of a log that grew, and nothing else that is not in the log (AUD-3, claims: C25)', async (t) => {
    const folder = newFolder(t)
    writeLog(folder, 300)
    const entries = unbundle(readFileSync(join(folder, 'tile/entries/001.p/44')))
    put(folder, 'tile/entries/001.p/20', bundle(entries.slice(0, 20)))
    put(folder, 'tile/0/000.p/100', readFileSync(join(folder, 'tile/0/000')).subarray(0, 3200))
    assert.equal((await verify('log', folder)).code, 0)
    flip(folder, 'tile/0/000.p/100', 3199)
    refused(await verify('log', folder), /tile\/0\/000\.p\/100: is not the beginning of tile\/0\/000/)
    rmSync(join(folder, 'tile/0/000.p'), { recursive: true })
    put(folder, 'tile/entries/001.p/20', bundle(entries.slice(1, 21)))
    refused(await verify('log', folder), /tile\/entries\/001\.p\/20: is not the beginning/)
    rmSync(join(folder, 'tile/entries/001.p/20'))
    for (const stranger of ['tile/0/001.p/45', 'tile/0/1', 'tile/2/000.p/1', 'tile/entries/002', 'tile/0/x000/000']) {
      put(folder, stranger, Buffer.alloc(32))
      refused(await verify('log', folder), new RegExp(`${stranger}: is not a part of a log of size 300`))
      rmSync(join(folder, stranger))
    }
    assert.equal((await verify('log', folder)).code, 0)
  })

  test('refuses notes that are not signed notes, although the signature is good (AUD-3, claims: C25)', async (t) => {
    const folder = newFolder(t)
    writeLog(folder, 1)
    const body = readFileSync(join(folder, 'checkpoint'), 'utf8').split('\n').slice(0, 3)
    const key = noteKey(String(body[0]))
    put(folder, 'vkey', key.vkey)
    const [, size, root] = body
    const texts: Readonly<Record<string, [string, RegExp | undefined]>> = {
      'as it should be': [`${key.name}\n${size}\n${root}\n`, undefined],
      'with an extension line': [`${key.name}\n${size}\n${root}\nanything\n`, undefined],
      'another origin': [`other.example.org\n${size}\n${root}\n`, /checkpoint line 1/],
      'no origin': [`\n${size}\n${root}\n`, /at least three lines/],
      'a leading zero': [`${key.name}\n0${size}\n${root}\n`, /checkpoint line 2/],
      'a sign': [`${key.name}\n+${size}\n${root}\n`, /checkpoint line 2/],
      'a huge size': [`${key.name}\n9223372036854775808\n${root}\n`, /checkpoint line 2/],
      'a short root': [`${key.name}\n${size}\n${root?.slice(0, -4)}\n`, /checkpoint line 3/],
      'two lines': [`${key.name}\n${size}\n`, /at least three lines/],
      'an empty extension line': [`${key.name}\n${size}\n${root}\n\nanything\n`, /at least three lines/],
      'a carriage return': [`${key.name}\r\n${size}\n${root}\n`, /control character/],
    }
    for (const [what, [text, why]] of Object.entries(texts)) {
      put(folder, 'checkpoint', signedNote(text, key))
      const result = await verify('log', folder)
      if (why === undefined) assert.equal(result.code, 0, `${what}: ${result.text}`)
      else refused(result, why)
    }
    const good = signedNote(`${key.name}\n${size}\n${root}\n`, key)
    const stranger = signedNote(`${key.name}\n${size}\n${root}\n`, noteKey('stranger.example.org')).split('\n\n')[1]
    put(folder, 'checkpoint', good + stranger)
    assert.match((await verify('log', folder)).text, /ignored {4}a signature of stranger\.example\.org/)
    for (const [note, why] of [
      [good.slice(0, -1), /last line does not end/],
      [good.replace('—', '-'), /line 5: is not a signature line/],
      [`${good}\n`, /has no signature/],
      [good.replace(/=*\n$/, '\n'), /line 5: is not base64/],
      // The last digit has two bits that stand for nothing; here one of them is set.
      [
        good.replace(/(.)=\n$/, (_, last: string) => `${base64[base64.indexOf(last) + 1]}=\n`),
        /not base64 in its one form/,
      ],
      [Buffer.concat([Buffer.from(good), Buffer.of(0xff, 10)]), /is not UTF-8/],
    ] as const) {
      put(folder, 'checkpoint', note)
      refused(await verify('log', folder), why)
    }
  })

  test('says 2 for wrong usage (claims: C25)', async (t) => {
    const folder = newFolder(t)
    for (const args of [
      [],
      ['nothing'],
      ['log'],
      ['log', join(folder, 'missing')],
      ['log', folder, '--minimum', '-1'],
      ['log', folder, '--witness', 'nobody'],
      ['log', folder, '--witness', noteKey('log.example.org').vkey],
      ['proof', join(folder, 'missing'), '--vkey', join(folder, 'missing')],
      ['proof', folder],
    ])
      assert.equal((await verify(...args)).code, 2, args.join(' '))
  })
})

type Signed = { kind: string; key: KeyObject; raw: Buffer; message: Buffer; signature: Buffer; what: string }

/** Signatures that Node made, each with spoiled ones beside it. */
function signatures(kind: 'ed25519' | 'ml-dsa-44', count: number, size: number): Signed[] {
  return Array.from({ length: count }).flatMap((_, i) => {
    const { key, privateKey, raw } = newKey(kind)
    const message = randomBytes(i * 7)
    const signature = sign(null, message, privateKey)
    assert.equal(signature.length, size)
    const spoiled = Array.from({ length: 6 }, () => {
      const bad = Buffer.from(signature)
      const at = Math.floor(Math.random() * size)
      bad[at] = (bad[at] as number) ^ (1 << Math.floor(Math.random() * 8))
      return { kind, key, raw, message, signature: bad, what: `${kind} with byte ${at} spoiled` }
    })
    return [
      { kind, key, raw, message, signature, what: `${kind} ${i}` },
      { kind, key, raw, message: Buffer.concat([message, Buffer.of(0)]), signature, what: `${kind}, longer message` },
      { kind, key, raw, message, signature: signature.subarray(1), what: `${kind}, shorter signature` },
      ...spoiled,
    ]
  })
}

/** ML-DSA-44 signatures whose hints stand for the same but are not written in the one way that FIPS 204 allows. */
function badHints(): Signed[] {
  const { key, privateKey, raw } = newKey('ml-dsa-44')
  const message = Buffer.from('hints')
  const hints = 2420 - 84
  const spoil: Readonly<Record<string, (bytes: Buffer) => void>> = {
    'in another order': (bytes) => {
      const [one, two] = [bytes[hints] as number, bytes[hints + 1] as number]
      bytes[hints] = two
      bytes[hints + 1] = one
    },
    'one twice': (bytes) => {
      bytes[hints + 1] = bytes[hints] as number
    },
    'more than there is room for': (bytes) => {
      bytes[2419] = 81
    },
    'counts that go down': (bytes) => {
      bytes[2418] = (bytes[2419] as number) + 1
    },
    'something after the last': (bytes) => {
      bytes[hints + 79] = 1
    },
  }
  return Object.entries(spoil).map(([what, change]) => {
    let signature = sign(null, message, privateKey)
    // Two hints in the first polynomial, and room at the end.
    while ((signature[hints + 80] as number) < 2 || (signature[2419] as number) > 79)
      signature = sign(null, message, privateKey)
    change(signature)
    return { kind: 'ml-dsa-44', key, raw, message, signature, what: `hints: ${what}` }
  })
}

function newKey(kind: 'ed25519' | 'ml-dsa-44') {
  const { publicKey, privateKey } =
    kind === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ml-dsa-44')
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(kind === 'ed25519' ? -32 : -1312)
  return { key: publicKey, privateKey, raw }
}
