import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { cosign, cosignedAt, formatCosignerVkey, parseCosignerVkey } from './cosignature.ts'
import { openNote, parseCheckpoint, parseNote, parseVkey } from './signed-note.ts'

// A checkpoint of the public Certificate Transparency log arche2025h1.staging.ct.transparency.dev of May 2026, as that log served it, with
// cosignatures of the public witness network. The keys are those that the log and the witnesses publish.
const published = `arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
`
const logVkey = 'arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f'
const witnessVkeys = [
  'remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2',
  'witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv',
]

test('a checkpoint of a public log and its cosignatures by public witnesses verify', () => {
  const text = openNote(Buffer.from(published), parseVkey(logVkey))
  const { signatures } = parseNote(Buffer.from(published))

  for (const vkey of witnessVkeys) {
    const key = parseCosignerVkey(vkey)
    const times = signatures.flatMap((line) => cosignedAt(text, line, key) ?? [])
    assert.deepEqual(times, [1_779_573_024], vkey)
    assert.equal(formatCosignerVkey(key.name, key.publicKey), vkey)
    for (const line of signatures.filter(({ name }) => name === key.name))
      assert.throws(() => cosignedAt(text.replace('1432088532', '1432088533'), line, key), /does not match/)
  }
  assert.equal(parseCheckpoint(text).size, 1_432_088_532)
})

for (const kind of ['ed25519', 'ml-dsa-44'] as const)
  test(`${kind}: a cosignature fits its checkpoint, name and time, and no other`, () => {
    const { privateKey, publicKey } = generateKeyPairSync(kind as 'ed25519')
    const text = published.slice(0, published.indexOf('\n\n') + 1)
    const key = parseCosignerVkey(formatCosignerVkey('w.example/1', publicKey))
    const line = cosign(text, 'w.example/1', privateKey, 1_790_000_000)
    const [signature] = parseNote(Buffer.from(`${text}\n${line}`)).signatures

    assert.equal(cosignedAt(text, signature!, key), 1_790_000_000)
    assert.equal(cosignedAt(text, { ...signature!, name: 'w.example/2' }, key), undefined, "another's line")
    const [first = 0, ...rest] = signature!.signature.subarray(0, 8)
    const later = Buffer.concat([Buffer.from([first ^ 0x01, ...rest]), signature!.signature.subarray(8)])
    assert.throws(() => cosignedAt(text, { ...signature!, signature: later }, key), { name: 'NoteError' })
    const short = signature!.signature.subarray(0, -1)
    assert.throws(() => cosignedAt(text, { ...signature!, signature: short }, key), { name: 'NoteError' })
    assert.throws(() => cosignedAt(text.replace('dev', 'org'), signature!, key), /does not match/)
  })

test('a key of a log is no key of a witness', () => {
  assert.throws(() => parseCosignerVkey(logVkey), { name: 'NoteError' })
  assert.throws(() => parseVkey(witnessVkeys[0]!), { name: 'NoteError' })
})
