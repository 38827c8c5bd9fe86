import { createPrivateKey, createPublicKey, generateKeyPairSync, hash, type KeyObject } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { formatCosignerVkey } from '../../lib/cosignature.ts'
import type { WitnessStore } from './witness.ts'

/** A witness's folder: one file for each log (named by SHA-256 of its origin), replaced whole, and its keys. */
export function openWitnessStore(folder: string): WitnessStore {
  const pathOf = (origin: string) => join(folder, `${hash('sha256', origin, 'hex')}.checkpoint`)
  return {
    async read(origin) {
      const path = pathOf(origin)
      return existsSync(path) ? readFile(path, 'utf8') : undefined
    },
    write: (origin, checkpoint) => replace(folder, pathOf(origin), checkpoint),
  }
}

/** The witness's keys, made at the first start: Ed25519 for everybody who verifies today, ML-DSA-44 for later. */
export async function openWitnessKeys(folder: string): Promise<readonly KeyObject[]> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const keys: KeyObject[] = []
  for (const kind of ['ed25519', 'ml-dsa-44']) {
    const path = join(folder, `${kind}.key`)
    if (!existsSync(path)) {
      const { privateKey } = generateKeyPairSync(kind as 'ed25519')
      await replace(folder, path, privateKey.export({ format: 'pem', type: 'pkcs8' }) as string)
    }
    keys.push(createPrivateKey(readFileSync(path)))
  }
  return keys
}

export function vkeysOf(name: string, keys: readonly KeyObject[]): string[] {
  return keys.map((key) => formatCosignerVkey(name, createPublicKey(key)))
}

/** On the disk, and then in place: after a crash the file is the old one or the new one. */
async function replace(folder: string, path: string, text: string): Promise<void> {
  const file = await open(`${path}.new`, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.new`, path)
  const directory = await open(folder)
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
