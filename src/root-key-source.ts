import type { KeyObject } from 'node:crypto'
import { lstatSync, readFileSync, realpathSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Secret } from './core/secret.ts'
import { syncPath } from './lib/disk.ts'
import { parseRootKey, readKeyFile, writeKeyFile } from './lib/root-key.ts'

/**
 * Where the root key comes from, and where the next one goes. A change of the root key stages the new key, puts the data under it,
 * and promotes it; after a crash anywhere between, `read` and `staged` give the two keys of which one opens the data.
 */
export type KeySource = {
  /** `file`, `environment`, `shares` … */
  readonly kind: string
  /** The root key in use. */
  read(): Promise<KeyObject>
  /** Absent when this source cannot be written. */
  readonly staging?: Staging
}

export type Staging = {
  /** Keeps the next key beside the current one, durably. Throws `NotReplaceable` when it could not take its place later. */
  stage(key: KeyObject): Promise<void>
  staged(): Promise<KeyObject | undefined>
  /** The staged key takes the place of the current one, in one step, durably. */
  promote(): Promise<void>
  /** Forgets the staged key, if there is one. */
  drop(): Promise<void>
}

/** The key that is in use cannot be replaced where it lies. The message is for the operator. */
export class NotReplaceable extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'NotReplaceable'
  }
}

/** A key file. The next key lies beside it as `<file>.next`; a symbolic link stays, and the file that it leads to is replaced. */
export function fileSource(path: string): KeySource {
  // Looked up at each use: the file may be made after the source.
  const real = () => (lstatSync(path, { throwIfNoEntry: false }) ? realpathSync(path) : path)
  const next = () => `${real()}.next`
  return {
    kind: 'file',
    read: async () => readKeyFile(path),
    staging: {
      async stage(key) {
        if (isMounted(real())) throw new NotReplaceable('The key file is mounted by itself, so it cannot be replaced')
        try {
          // Whole or not at all: half a key would stop the next start.
          rmSync(`${next()}.new`, { force: true })
          writeKeyFile(`${next()}.new`, key)
          renameSync(`${next()}.new`, next())
          syncPath(dirname(next()))
        } catch (cause) {
          const { code } = cause as NodeJS.ErrnoException
          if (code === undefined || !['EACCES', 'EPERM', 'EROFS'].includes(code)) throw cause
          throw new NotReplaceable(`The folder of the key file cannot be written (${code})`, { cause })
        }
      },
      staged: async () => (lstatSync(next(), { throwIfNoEntry: false }) ? readKeyFile(next()) : undefined),
      async promote() {
        renameSync(next(), real())
        syncPath(dirname(real()))
      },
      async drop() {
        rmSync(`${next()}.new`, { force: true })
        if (!lstatSync(next(), { throwIfNoEntry: false })) return
        rmSync(next())
        syncPath(dirname(next()))
      },
    },
  }
}

/** A key in the environment, which only whoever starts the server can change. */
export function environmentSource(text: Secret): KeySource {
  return { kind: 'environment', read: async () => parseRootKey(text.reveal()) }
}

/** A key that people gave in shares; it lies nowhere. */
export function sharesSource(key: KeyObject): KeySource {
  return { kind: 'shares', read: async () => key }
}

/** A file that is a mount of its own, as containers mount one secret, refuses to be renamed over. */
function isMounted(path: string): boolean {
  let mounts: string
  try {
    mounts = readFileSync('/proc/self/mountinfo', 'utf8')
  } catch {
    return false // not Linux: there the file system itself refuses, and the next start finishes or says so
  }
  const point = path
    .replaceAll('\\', '\\134')
    .replaceAll(' ', '\\040')
    .replaceAll('\t', '\\011')
    .replaceAll('\n', '\\012')
  return mounts.split('\n').some((line) => line.split(' ')[4] === point)
}
