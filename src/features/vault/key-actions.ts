import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import type { Vault } from './vault.ts'

type Keys = Pick<Vault, 'keys' | 'rotate' | 'rewrap' | 'rootKeyFingerprint'>

/** What the change of the root key answers: fingerprints, never a key. */
export type Rekeyed = { readonly from: string; readonly to: string; readonly state: 'done' }
export type Rekey = () => Promise<Rekeyed>

/** The actions on the key-encryption keys, which seal the secrets, and on the root key above them. */
export function keyActions(vault: Keys, rekey: Rekey | undefined): readonly Action[] {
  return [listKeys(vault), rotateKeys(vault), rewrap(vault), changeRootKey(rekey)]
}

const resource = () => ({ type: 'vault-key', id: '*' })
const Place = z.strictObject({
  secret: z.string().regex(/^sec_[0-9a-hjkmnp-tv-z]{24}$/),
  version: z
    .int()
    .min(1)
    .max(2 ** 31 - 1),
})

const listKeys = (vault: Keys) =>
  defineAction({
    name: 'vault.keys.list',
    title: 'List the keys of the vault',
    description:
      'The key-encryption keys: which is active, and how many stored secret versions each one opens. Never a key itself.',
    access: 'read',
    http: { method: 'GET', path: '/vault/keys' },
    input: z.strictObject({}),
    output: z.object({
      rootKey: z.string().describe('Fingerprint of the root key that seals them all.'),
      items: z.array(
        z.object({
          id: z.string(),
          version: z.int(),
          state: z.enum(['active', 'retired']),
          createdAt: z.iso.datetime(),
          wraps: z.int().describe('Data keys that it has wrapped, also of what is gone.'),
          versions: z.int().describe('Stored secret versions that it opens.'),
        }),
      ),
    }),
    resource,
    run: async () => ({ rootKey: vault.rootKeyFingerprint(), items: await vault.keys() }),
  })

const rotateKeys = (vault: Keys) =>
  defineAction({
    name: 'vault.keys.rotate',
    title: 'Make a new key for the vault',
    description:
      'Makes a new key-encryption key. What is stored from now on is sealed with it; what is stored already stays readable and moves to it with vault.keys.rewrap.',
    access: 'write',
    http: { method: 'POST', path: '/vault/keys' },
    input: z.strictObject({}),
    output: z.object({ id: z.string(), version: z.int() }),
    resource,
    run: () => vault.rotate(),
  })

const rewrap = (vault: Keys) =>
  defineAction({
    name: 'vault.keys.rewrap',
    title: 'Move stored secrets to the active key',
    description:
      'Seals stored secret versions of retired keys anew under the active key, so many per call. Repeat it with `cursor` until `next` is null; it may be interrupted at any point.',
    access: 'write',
    http: { method: 'POST', path: '/vault/keys/rewrap' },
    events: ['vault.integrity-failed'],
    input: z.strictObject({
      limit: z.int().min(1).max(1000).default(200).describe('At most so many versions in this call.'),
      cursor: Place.optional().describe('The `next` of the answer before.'),
    }),
    output: z.object({
      rewrapped: z.int().describe('Versions that were sealed anew in this call.'),
      failed: z.array(Place).describe('Versions that do not open; they stay as they are.'),
      remaining: z.int().describe('Versions that are still sealed under a retired key.'),
      next: Place.nullable(),
    }),
    resource,
    run: ({ limit, cursor }) => vault.rewrap({ limit, after: cursor }),
  })

const changeRootKey = (rekey: Rekey | undefined) =>
  defineAction({
    name: 'vault.root-key.change',
    title: 'Change the root key',
    description:
      'Makes a new root key and puts everything that hangs on the old one under it, while the server runs. The old key opens nothing any more. Then make a new recovery kit, and keep a copy of the new key where the old one was.',
    access: 'write',
    http: { method: 'POST', path: '/vault/rekey' },
    events: ['vault.rekey-started', 'vault.rekeyed', 'vault.rekey-undone'],
    input: z.strictObject({}),
    output: z.object({
      from: z.string().describe('Fingerprint of the root key so far.'),
      to: z.string().describe('Fingerprint of the new root key.'),
      state: z.literal('done'),
    }),
    resource,
    async run() {
      if (!rekey) throw new Problem('conflict', 'This server was started without a way to change its root key')
      return rekey()
    },
  })
