import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { existsSync, renameSync, rmSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname } from 'node:path'
import type { Config } from './config.ts'
import { sealPath } from './config-seals.ts'
import { makeKmsSeal } from './features/vault/seals/aws-kms.ts'
import { makePkcs11Seal } from './features/vault/seals/pkcs11.ts'
import { type Seal, SealError } from './features/vault/seals/seal.ts'
import {
  BadSealedFile,
  readSealedFile,
  unwrapRootKey,
  wrapRootKey,
  writeSealedFile,
} from './features/vault/seals/sealed-file.ts'
import { makeTransitSeal } from './features/vault/seals/transit.ts'
import { syncPath } from './lib/disk.ts'
import { makeOutbound, type Send } from './lib/outbound.ts'
import { type KeySource, NotReplaceable, type Staging } from './root-key-source.ts'
import { StartError } from './start-error.ts'

// The root key from a provider that wraps it: `data/root.sealed` holds what only the provider opens.

export type SealedSource = KeySource & {
  readonly seal: Seal
  readonly staging: Staging
  /** Draws a root key, for data that does not exist yet, and keeps it wrapped. */
  readonly create: () => Promise<KeyObject>
}

/** The configured seal as a source of the root key; undefined when ATLAS_SEAL is not set. */
export function sealedSource(config: Config): SealedSource | undefined {
  const seal = makeSeal(config)
  if (!seal) return undefined
  const path = sealPath(config)
  const next = `${path}.next`
  const open = async (file: string): Promise<KeyObject | undefined> => {
    const sealed = readSealedFile(file)
    return sealed && unwrapRootKey(seal, sealed)
  }
  return {
    kind: seal.kind,
    seal,
    async read() {
      const key = await open(path)
      if (!key) throw new BadSealedFile(`${path} does not exist. Make it with: atlas vault seal`)
      return key
    },
    async create() {
      const bytes = randomBytes(32)
      const key = createSecretKey(bytes)
      bytes.fill(0)
      writeSealedFile(path, await wrapRootKey(seal, key), { replace: false })
      return key
    },
    staging: {
      async stage(key) {
        const sealed = await wrapRootKey(seal, key)
        try {
          writeSealedFile(next, sealed, { replace: true })
        } catch (cause) {
          const { code = '' } = ((cause as Error).cause ?? {}) as NodeJS.ErrnoException
          if (!['EACCES', 'EPERM', 'EROFS'].includes(code)) throw cause
          throw new NotReplaceable(`The folder of ${path} cannot be written (${code})`, { cause })
        }
      },
      staged: () => open(next),
      async promote() {
        renameSync(next, path)
        syncPath(dirname(path))
      },
      async drop() {
        if (!existsSync(next)) return
        rmSync(next)
        syncPath(dirname(next))
      },
    },
  }
}

/** A fault of the file is for a person to mend; a provider that does not do it now may at the next try. */
export function asStartError(error: unknown): unknown {
  if (error instanceof BadSealedFile) return new StartError(error.message, { cause: error })
  return error instanceof SealError ? new StartError(error.message, { cause: error, exitCode: 1 }) : error
}

/** The configuration has checked that what the kind needs is there. */
function makeSeal(config: Config): Seal | undefined {
  const { ATLAS_SEAL: kind } = config
  if (kind === undefined) return undefined
  if (kind === 'pkcs11') {
    if (!isBuiltin('node:ffi')) throw new StartError('ATLAS_SEAL=pkcs11 needs Node 26.1 or later')
    return pkcs11Seal(config)
  }
  const send = makeOutbound({ ca: kind === 'transit' ? config.ATLAS_TRANSIT_CA : config.ATLAS_KMS_CA })
  return kind === 'transit' ? transitSeal(config, send) : kmsSeal(config, send)
}

function transitSeal(config: Config, send: Send): Seal {
  return makeTransitSeal({
    send,
    url: given(config.ATLAS_TRANSIT_URL),
    mount: config.ATLAS_TRANSIT_MOUNT,
    key: given(config.ATLAS_TRANSIT_KEY),
    namespace: config.ATLAS_TRANSIT_NAMESPACE,
    token: given(config.ATLAS_TRANSIT_TOKEN),
  })
}

function kmsSeal(config: Config, send: Send): Seal {
  return makeKmsSeal({
    send,
    endpoint: config.ATLAS_KMS_ENDPOINT,
    region: given(config.ATLAS_AWS_REGION),
    key: given(config.ATLAS_KMS_KEY),
    keys: {
      accessKeyId: given(config.ATLAS_AWS_ACCESS_KEY_ID),
      secretAccessKey: given(config.ATLAS_AWS_SECRET_ACCESS_KEY),
      sessionToken: config.ATLAS_AWS_SESSION_TOKEN,
    },
    now: () => new Date(),
  })
}

function pkcs11Seal(config: Config): Seal {
  return makePkcs11Seal({
    module: given(config.ATLAS_PKCS11_MODULE),
    token: config.ATLAS_PKCS11_TOKEN,
    slot: config.ATLAS_PKCS11_SLOT,
    key: given(config.ATLAS_PKCS11_KEY),
    pin: given(config.ATLAS_PKCS11_PIN),
    environment: config.foreign,
  })
}

function given<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('A seal without its settings passed the configuration')
  return value
}
