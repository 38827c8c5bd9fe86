import { existsSync } from 'node:fs'
import type { Config } from './config.ts'
import { sealPath } from './config-seals.ts'
import { readSealedFile, wrapRootKey, writeSealedFile } from './features/vault/seals/sealed-file.ts'
import { rootKeyFingerprint, writeKeyFile } from './lib/root-key.ts'
import { asStartError, type SealedSource, sealedSource } from './sealed-source.ts'
import { StartError } from './start-error.ts'
import { keyPath, plainSource, prepareDataDirectory } from './storage.ts'

/**
 * `atlas vault seal`: the root key in use, wrapped by the configured provider, into `root.sealed`. Where it is wrapped already, it is
 * wrapped anew, under the newest version of the provider's key.
 */
export async function sealRootKey(config: Config): Promise<Record<string, unknown>> {
  prepareDataDirectory(config.ATLAS_DATA_DIR)
  return withSource(config, async (source) => {
    const path = sealPath(config)
    const present = readSealedFile(path)
    const plain = hasPlainKey(config) ? await plainSource(config).read() : undefined
    if (!present && !plain)
      throw new StartError('There is no root key to wrap. A first start with ATLAS_SEAL draws one.')
    if (existsSync(`${path}.next`))
      throw new StartError('The root key is being changed. Start the server, which ends that, and try again.')
    if (present && plain && rootKeyFingerprint(plain) !== present.fingerprint)
      throw new StartError(
        `${path} holds the root key ${present.fingerprint}, and the one given in the clear is ${rootKeyFingerprint(plain)}. Move away what is not in use.`,
      )
    const key = plain ?? (await source.read())
    writeSealedFile(path, await wrapRootKey(source.seal, key), { replace: present !== undefined })
    return {
      rootKey: rootKeyFingerprint(key),
      seal: source.seal.kind,
      key: source.seal.keyName,
      file: path,
      state: present ? 'wrapped anew' : 'wrapped',
      plainKey: plain ? placeOf(config) : 'none',
    }
  })
}

/** `atlas vault unseal-to-file`: the root key out of `root.sealed`, into a new key file. */
export async function unsealToFile(config: Config, keyFile: string): Promise<Record<string, unknown>> {
  return withSource(config, async (source) => {
    const key = await source.read()
    try {
      writeKeyFile(keyFile, key)
    } catch (error) {
      throw new StartError((error as Error).message, { cause: error })
    }
    return { rootKey: rootKeyFingerprint(key), keyFile }
  })
}

async function withSource<T>(config: Config, run: (source: SealedSource) => Promise<T>): Promise<T> {
  const source = sealedSource(config)
  if (!source) throw new StartError('No seal is configured. Set ATLAS_SEAL and what it needs (docs/operate/seals.md).')
  try {
    return await run(source)
  } catch (error) {
    throw asStartError(error)
  }
}

function hasPlainKey(config: Config): boolean {
  return config.ATLAS_SECRET_KEY !== undefined || existsSync(keyPath(config))
}

function placeOf(config: Config): string {
  if (config.ATLAS_SECRET_KEY === undefined) return keyPath(config)
  return config.keyFile ?? 'ATLAS_SECRET_KEY'
}
