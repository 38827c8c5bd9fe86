import { argon2, createHmac, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { z } from 'zod'
import type { Secret } from '../../core/secret.ts'
import { deriveKey, keyId } from '../../lib/envelope.ts'
import { type RootKey, ringOf } from '../../lib/root-keys.ts'
import { makeHashQueue } from './hash-queue.ts'
import { typed } from './reveal.ts'

export type PasswordCost = { readonly memory: number; readonly passes: number; readonly parallelism: number }

/** OWASP's and ASVS 5.0's least for argon2id with two passes: 19 MiB (SECURITY.md §3.1). */
export const passwordCost: PasswordCost = { memory: 19_456, passes: 2, parallelism: 1 }

const saltLength = 16
const tagLength = 32
const runArgon2 = promisify(argon2)

type Parts = {
  readonly rootKey: RootKey
  readonly cost?: PasswordCost
  /** A pepper that came from an earlier root key, by its id. */
  readonly earlierPepper?: (id: string) => Promise<KeyObject | undefined>
}

export type Hasher = ReturnType<typeof makeHasher>

/**
 * Hashes and checks passwords: argon2id over HMAC-SHA-256(pepper, NFKC(password)), kept as a PHC string.
 * The pepper comes from the root key, so a stolen table alone cannot be attacked; `keyid` names the pepper's key.
 */
export function makeHasher({ rootKey, cost = passwordCost, earlierPepper = async () => undefined }: Parts) {
  const ring = ringOf(rootKey)
  const inQueue = makeHashQueue()

  function digest(password: Secret, salt: Buffer, { memory, passes, parallelism }: PasswordCost, key: KeyObject) {
    const message = createHmac('sha256', key).update(typed(password).normalize('NFKC'), 'utf8').digest()
    return inQueue(() => runArgon2('argon2id', { message, nonce: salt, parallelism, tagLength, memory, passes }))
  }

  return {
    /** A PHC string for storage. Throws `rate-limited` when too many hashes are already waiting. */
    async hash(password: Secret): Promise<string> {
      const salt = randomBytes(saltLength)
      const pepper = pepperOf(ring.current())
      return toPhc({ ...cost, keyid: pepperIdOf(pepper), salt, tag: await digest(password, salt, cost, pepper) })
    },

    /**
     * `right`: the password fits. `outdated`: it fits and should be hashed again with today's cost and pepper.
     * Without a stored hash it works just as long and answers wrong, so that time does not tell who exists.
     */
    async verify(password: Secret, phc: string | null | undefined): Promise<'right' | 'outdated' | 'wrong'> {
      const stored = phc ? fromPhc(phc) : undefined
      const pepper = pepperOf(ring.current())
      const key = stored?.keyid === pepperIdOf(pepper) ? pepper : stored && (await earlierPepper(stored.keyid))
      if (!stored || !key) {
        await digest(password, randomBytes(saltLength), cost, pepper)
        return 'wrong'
      }
      const tag = await digest(password, stored.salt, stored, key)
      if (!timingSafeEqual(tag, stored.tag)) return 'wrong'
      const same = key === pepper && stored.memory === cost.memory && stored.passes === cost.passes
      return same && stored.parallelism === cost.parallelism ? 'right' : 'outdated'
    },
  }
}

export function pepperOf(rootKey: KeyObject): KeyObject {
  return deriveKey(rootKey, 'atlas/password-pepper')
}

/** The `keyid` of hashes made with a pepper. */
export function pepperIdOf(pepper: KeyObject): string {
  return unpadded(keyId(pepper))
}

type Phc = PasswordCost & { readonly keyid: string; readonly salt: Buffer; readonly tag: Buffer }

function toPhc({ memory, passes, parallelism, keyid, salt, tag }: Phc): string {
  const costs = `m=${memory},t=${passes},p=${parallelism},keyid=${keyid}`
  return `$argon2id$v=19$${costs}$${unpadded(salt)}$${unpadded(tag)}`
}

// The bounds keep a changed row from costing gigabytes of memory or comparing a shortened tag.
const Costs = z.object({
  memory: z.coerce.number().int().min(8).max(1_048_576),
  passes: z.coerce.number().int().min(1).max(64),
  parallelism: z.coerce.number().int().min(1).max(16),
})

function fromPhc(text: string): Phc | undefined {
  const { keyid = '', salt = '', tag = '', ...rest } = phcForm.exec(text)?.groups ?? {}
  const costs = Costs.safeParse(rest)
  const bytes = { salt: Buffer.from(salt, 'base64'), tag: Buffer.from(tag, 'base64') }
  if (!costs.success || bytes.salt.length !== saltLength || bytes.tag.length !== tagLength) return undefined
  return { ...costs.data, keyid, ...bytes }
}

const phcForm =
  /^\$argon2id\$v=19\$m=(?<memory>\d+),t=(?<passes>\d+),p=(?<parallelism>\d+),keyid=(?<keyid>[A-Za-z0-9+/]+)\$(?<salt>[A-Za-z0-9+/]+)\$(?<tag>[A-Za-z0-9+/]+)$/

/** The B64 of the PHC string format: standard alphabet, no padding. */
function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '')
}
