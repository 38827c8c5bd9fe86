import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto'
import { Fault, type JsonService } from './api.ts'

type Key = { readonly arn: string; readonly material: Buffer; state: 'Enabled' | 'Disabled' | 'PendingDeletion' }
type Place = { readonly region: string; readonly account: string }

/** KMS: `Encrypt` and `Decrypt` with symmetric keys, an encryption context as associated data, aliases and key states. */
export function makeKms({ region, account }: Place) {
  const base = `arn:aws:kms:${region}:${account}`
  const keys = new Map<string, Key>()
  const aliases = new Map<string, string>()
  function make(alias?: string): string {
    const id = randomUUID()
    keys.set(id, { arn: `${base}:key/${id}`, material: randomBytes(32), state: 'Enabled' })
    if (alias !== undefined) aliases.set(alias, id)
    return id
  }

  /** By id, ARN, alias or the alias's ARN. */
  function find(name: unknown): Key {
    const text = String(name ?? '')
    const short = text.startsWith(`${base}:`) ? text.slice(base.length + 1) : text
    const id = short.startsWith('alias/') ? aliases.get(short) : short.replace(/^key\//, '')
    const key = keys.get(id ?? '')
    if (key) return key
    const arn = short.startsWith('alias/')
      ? `Alias ${base}:${short} is not found.`
      : `Key '${base}:key/${short.replace(/^key\//, '')}' does not exist`
    throw new Fault('NotFoundException', arn)
  }

  function usable(key: Key): Key {
    if (key.state === 'Disabled') throw new Fault('DisabledException', `${key.arn} is disabled.`)
    if (key.state === 'PendingDeletion') throw new Fault('KMSInvalidStateException', `${key.arn} is pending deletion.`)
    return key
  }

  const service: JsonService = {
    name: 'kms',
    prefix: 'TrentService',
    operations: {
      Encrypt({ KeyId, Plaintext, EncryptionContext }) {
        const key = usable(find(KeyId))
        const plain = blob(Plaintext, 'plaintext', 4096)
        const nonce = randomBytes(12)
        const cipher = createCipheriv('aes-256-gcm', key.material, nonce).setAAD(contextOf(EncryptionContext))
        const id = Buffer.from(key.arn.slice(-36))
        const box = Buffer.concat([id, nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
        return { CiphertextBlob: box.toString('base64'), EncryptionAlgorithm: 'SYMMETRIC_DEFAULT', KeyId: key.arn }
      },
      Decrypt({ CiphertextBlob, EncryptionContext, KeyId }) {
        const box = blob(CiphertextBlob, 'ciphertextBlob', 6144)
        const wanted = KeyId === undefined ? undefined : find(KeyId)
        const key = keys.get(box.subarray(0, 36).toString('latin1'))
        if (!key || box.length < 64) throw new Fault('InvalidCiphertextException', '')
        if (wanted && wanted !== key)
          throw new Fault(
            'IncorrectKeyException',
            'The key ID in the request does not identify a CMK that can perform this operation.',
          )
        usable(key)
        const decipher = createDecipheriv('aes-256-gcm', key.material, box.subarray(36, 48), { authTagLength: 16 })
        decipher.setAAD(contextOf(EncryptionContext)).setAuthTag(box.subarray(-16))
        const plain = decipher.update(box.subarray(48, -16))
        try {
          decipher.final()
        } catch {
          throw new Fault('InvalidCiphertextException', '')
        }
        return { KeyId: key.arn, Plaintext: plain.toString('base64'), EncryptionAlgorithm: 'SYMMETRIC_DEFAULT' }
      },
    },
  }
  return {
    service,
    make,
    setState: (name: string, state: Key['state']): void => {
      find(name).state = state
    },
  }
}

/** The pairs in a fixed order, each length first, so that no two contexts give the same bytes. */
function contextOf(context: unknown): Buffer {
  const pairs = Object.entries((context ?? {}) as Record<string, string>).sort(([a], [b]) => (a < b ? -1 : 1))
  return Buffer.from(JSON.stringify(pairs))
}

function blob(value: unknown, name: string, longest: number): Buffer {
  const bytes = Buffer.from(typeof value === 'string' ? value : '', 'base64')
  if (bytes.length >= 1 && bytes.length <= longest) return bytes
  const rule = `Member must have length ${bytes.length === 0 ? 'greater than or equal to 1' : `less than or equal to ${longest}`}`
  throw new Fault(
    'ValidationException',
    `1 validation error detected: Value at '${name}' failed to satisfy constraint: ${rule}`,
  )
}
