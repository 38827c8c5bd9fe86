import { KeyObject } from 'node:crypto'
import { deriveKey, isSealedWith } from './envelope.ts'

/**
 * The root keys that this process opens things with. There is one, and a second while the root key is changed. What is stored says
 * under which of them it is; whoever writes into a row or beside one follows it, so that the moment of the change is the commit
 * of the transaction that changes the rows, for everybody. `current` is for what no row tells.
 */
export type RootKeys = {
  current(): KeyObject
  /** The current one first. */
  all(): readonly KeyObject[]
}

/** What rooms take: a ring, or a single key where the key never changes (tests, commands without a server). */
export type RootKey = KeyObject | RootKeys

/** One way to ask either. */
export function ringOf(key: RootKey): RootKeys {
  return key instanceof KeyObject ? { current: () => key, all: () => [key] } : key
}

export type RootKeyRing = RootKeys & {
  /** Opens with `key` too from now on. */
  add(key: KeyObject): void
  /** Makes a key that was added the current one. */
  use(key: KeyObject): void
  /** Opens with `key` no more. The current key stays. */
  forget(key: KeyObject): void
}

export function makeRootKeyRing(first: KeyObject): RootKeyRing {
  let keys: readonly KeyObject[] = [first]
  const without = (key: KeyObject) => keys.filter((known) => !known.equals(key))
  return {
    current: () => keys[0] as KeyObject,
    all: () => keys,
    add(key) {
      keys = [...without(key), key]
    },
    use(key) {
      keys = [key, ...without(key)]
    },
    forget(key) {
      if (!keys[0]?.equals(key)) keys = without(key)
    },
  }
}

/**
 * The root key that a box hangs on, where boxes are sealed with the key that `derive` gives. For a box of none of them the current
 * one, with which opening it fails and says why.
 */
export function rootKeyOf(keys: RootKeys, derive: (rootKey: KeyObject) => KeyObject, box: Uint8Array): KeyObject {
  return keys.all().find((rootKey) => isSealedWith(derive(rootKey), box)) ?? keys.current()
}

/** The key of fingerprints of secret values: the vault makes them, and approvals know by them the call that was approved. */
export function fingerprintKey(rootKey: KeyObject): KeyObject {
  return deriveKey(rootKey, 'atlas/vault/fingerprint')
}
