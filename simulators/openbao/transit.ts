import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Reply } from '../lib/server.ts'
import { data, type Engine, failed } from './api.ts'

type Key = { readonly versions: Buffer[]; minDecryptionVersion: number }

/** The Transit engine with keys of the type aes256-gcm96: real AES-GCM, versions, rotation, associated data, rewrap. */
export function makeTransit(names: readonly string[]) {
  const keys = new Map<string, Key>()
  const make = (name: string) => keys.set(name, { versions: [randomBytes(32)], minDecryptionVersion: 1 })
  for (const name of names) make(name)

  function encrypt(name: string, body: Readonly<Record<string, unknown>>): Reply {
    const { plaintext, associated_data: associated = '', key_version: wanted } = body
    if (typeof plaintext !== 'string') return failed(400, 'missing plaintext to encrypt')
    const bytes = decode(plaintext)
    if (!bytes) return failed(400, 'illegal base64 data at input byte 0')
    const { versions } = keys.get(name) ?? make(name).get(name) ?? { versions: [] }
    const version = Number(wanted ?? 0) || versions.length
    const secret = versions[version - 1]
    if (!secret) return failed(400, 'requested version for encryption is higher than the latest key version')
    return data({ ciphertext: close(secret, version, bytes, String(associated)), key_version: version })
  }

  function decrypt(key: Key, body: Readonly<Record<string, unknown>>): Buffer | Reply {
    const { ciphertext, associated_data: associated = '' } = body
    if (typeof ciphertext !== 'string' || ciphertext === '') return failed(400, 'missing ciphertext to decrypt')
    if (!ciphertext.startsWith('vault:v')) return failed(400, 'invalid ciphertext: no prefix')
    const [, digits, boxed = ''] = /^vault:v([^:]*):(.*)$/s.exec(ciphertext) ?? []
    if (digits === undefined) return failed(400, 'invalid ciphertext: wrong number of fields')
    if (!/^\d+$/.test(digits)) return failed(400, 'invalid ciphertext: version number could not be decoded')
    const version = Number(digits) || 1
    if (version > key.versions.length) return failed(400, 'invalid ciphertext: version is too new')
    if (version < key.minDecryptionVersion)
      return failed(400, 'ciphertext or signature version is disallowed by policy (too old)')
    const box = decode(boxed)
    if (!box) return failed(400, 'invalid ciphertext: could not decode base64')
    if (box.length < 12) return failed(400, 'invalid ciphertext length')
    const opened = open(key.versions[version - 1] ?? Buffer.alloc(32), box, String(associated))
    return opened ?? failed(400, 'cipher: message authentication failed')
  }

  const engine: Engine = {
    // A key that is missing would be made by `encrypt`, which is `create`.
    capabilityOf({ method, path }) {
      const [verb, name = ''] = path.split('/')
      if (method === 'GET') return 'read'
      return verb === 'encrypt' && !keys.has(name) ? 'create' : 'update'
    },
    handle({ method, path, body }) {
      const [verb, name = '', rest] = path.split('/')
      if (!/^\w(([\w.-]+)?\w)?$/.test(name)) return undefined
      const key = keys.get(name)
      if (verb === 'keys' && rest === undefined && method === 'GET')
        return key ? data({ name, type: 'aes256-gcm96', latest_version: key.versions.length }) : failed(404)
      if (method !== 'POST' && method !== 'PUT') return failed(405, 'unsupported operation')
      if (verb === 'encrypt') return encrypt(name, body)
      if (!key) return failed(400, verb === 'keys' ? 'key not found' : 'encryption key not found')
      if (verb === 'decrypt') {
        const opened = decrypt(key, body)
        return Buffer.isBuffer(opened) ? data({ plaintext: opened.toString('base64') }) : opened
      }
      if (verb === 'keys' && rest === 'rotate') return data({ version: key.versions.push(randomBytes(32)) })
      return undefined
    },
  }
  return {
    engine,
    rotate: (name: string) => keys.get(name)?.versions.push(randomBytes(32)),
    /** What was wrapped under an earlier version does not open any more. */
    setMinDecryptionVersion: (name: string, version: number): void => {
      const key = keys.get(name)
      if (key) key.minDecryptionVersion = version
    },
    remove: (name: string): boolean => keys.delete(name),
  }
}

/** nonce (12) ‖ ciphertext ‖ tag (16), in base64, behind the version. */
function close(secret: Buffer, version: number, plain: Buffer, associated: string): string {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', secret, nonce)
  if (associated !== '') cipher.setAAD(Buffer.from(associated, 'base64'))
  const box = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  return `vault:v${version}:${box.toString('base64')}`
}

function open(secret: Buffer, box: Buffer, associated: string): Buffer | undefined {
  if (box.length < 28) return undefined
  const decipher = createDecipheriv('aes-256-gcm', secret, box.subarray(0, 12), { authTagLength: 16 })
  if (associated !== '') decipher.setAAD(Buffer.from(associated, 'base64'))
  decipher.setAuthTag(box.subarray(-16))
  try {
    return Buffer.concat([decipher.update(box.subarray(12, -16)), decipher.final()])
  } catch {
    return undefined
  }
}

/** Strict, as Go's standard encoding is. */
function decode(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}
