import { createSecretKey, type KeyObject } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from './config.ts'
import { rootKeyFingerprint, writeKeyFile } from './lib/root-key.ts'
import { combine, type Share, split } from './lib/shamir.ts'
import { StartError } from './start-error.ts'
import { findRootKey } from './storage.ts'

// The recovery kit: the root key in shares, for people who keep one each. A share is one line of text:
// atlas-share-1 <fingerprint of the root key> <shares needed> <number> <32 bytes in base64url>

type Kit = { readonly shares: number; readonly threshold: number; readonly folder: string }

/** `atlas vault recovery-kit`: the root key in shares, one file each, in a new folder. */
export async function makeKit(
  config: Config,
  { shares: count, threshold, folder }: Kit,
): Promise<Record<string, unknown>> {
  if (existsSync(folder)) throw new StartError(`${folder} exists already; name a new folder`)
  const key = await findRootKey(config)
  const fingerprint = rootKeyFingerprint(key)
  const shares = sharesOf(key, threshold, count)
  mkdirSync(folder, { mode: 0o700 })
  for (const { x, y } of shares) {
    const line = `atlas-share-1 ${fingerprint} ${threshold} ${x} ${y.toString('base64url')}\n`
    writeFileSync(join(folder, `share-${x}.txt`), line, { mode: 0o600, flag: 'wx' })
    y.fill(0)
  }
  return { rootKey: fingerprint, shares: count, threshold, folder }
}

/** `atlas vault verify-recovery`: whether these shares give the root key that is in use. Nothing is written or shown. */
export async function verifyKit(config: Config, files: readonly string[]): Promise<Record<string, unknown>> {
  const key = fromShares(files)
  if (!key.equals(await findRootKey(config)))
    throw new StartError('The shares are of another root key than the one in use. Make a new kit.', { exitCode: 1 })
  return { rootKey: rootKeyFingerprint(key), shares: files.length, verified: true }
}

/** `atlas vault recover`: the root key from its shares, into a new key file. */
export function recover(files: readonly string[], keyFile: string): Record<string, unknown> {
  const key = fromShares(files)
  try {
    writeKeyFile(keyFile, key)
  } catch (error) {
    throw new StartError((error as Error).message, { cause: error })
  }
  return { rootKey: rootKeyFingerprint(key), keyFile }
}

function sharesOf(key: KeyObject, threshold: number, count: number): Share[] {
  const bytes = key.export()
  try {
    return split(bytes, { threshold, count })
  } catch (error) {
    throw new StartError((error as Error).message, { cause: error })
  } finally {
    bytes.fill(0)
  }
}

/** The fingerprint on each share tells whether what they give is the key that was split. */
function fromShares(files: readonly string[]): KeyObject {
  const read = files.map(readShare)
  const [first] = read
  if (!first) throw new StartError('Name the files of the shares')
  const stray = read.find(
    ({ fingerprint, threshold }) => fingerprint !== first.fingerprint || threshold !== first.threshold,
  )
  if (stray) throw new StartError(`${stray.file} is of another kit than ${first.file}`)
  const different = new Set(read.map(({ share }) => share.x)).size
  if (different < first.threshold)
    throw new StartError(`${first.threshold} different shares are needed, and these are ${different}`)
  const key = keyOf(read)
  if (!key)
    throw new StartError('The shares do not give the root key: at least one of them is damaged', { exitCode: 1 })
  return key
}

export type RecoveryShare = { readonly fingerprint: string; readonly threshold: number; readonly share: Share }

/** The key that shares of one kit give; undefined when it is not the one that was split. */
export function keyOf(shares: readonly RecoveryShare[]): KeyObject | undefined {
  const bytes = combine([...new Map(shares.map(({ share }) => [share.x, share])).values()])
  try {
    const key = createSecretKey(bytes)
    return rootKeyFingerprint(key) === shares[0]?.fingerprint ? key : undefined
  } finally {
    bytes.fill(0)
  }
}

export function parseShare(line: string): RecoveryShare | undefined {
  const form = /^atlas-share-1 ([0-9a-f]{16}) (\d{1,3}) (\d{1,3}) ([A-Za-z0-9_-]{43})$/
  const [, fingerprint = '', threshold, x, y = ''] = form.exec(line.trim()) ?? []
  const [needed, number] = [Number(threshold), Number(x)]
  if (!(needed >= 2 && needed <= 255 && number >= 1 && number <= 255)) return undefined
  return { fingerprint, threshold: needed, share: { x: number, y: Buffer.from(y, 'base64url') } }
}

function readShare(file: string) {
  if (!lstatSync(file, { throwIfNoEntry: false })) throw new StartError(`${file} does not exist`)
  const share = parseShare(readFileSync(file, 'utf8'))
  if (!share) throw new StartError(`${file} is not a share of a recovery kit`)
  return { file, ...share }
}
