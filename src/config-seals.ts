import { isAbsolute, join, resolve } from 'node:path'
import { z } from 'zod'
import type { Secret } from './core/secret.ts'

// The settings of the providers that wrap the root key (docs/operate/seals.md), as a part of src/config.ts.

type Kinds<S, U> = { readonly secret: S; readonly url: U }

const segment = '[A-Za-z0-9_-][A-Za-z0-9._-]*'
const path = z
  .string()
  .regex(new RegExp(`^${segment}(/${segment})*$`), 'must be names with / between them, without one at either end')
const pem = z.string().includes('BEGIN CERTIFICATE')

/** `secret` and `url` are the kinds that every setting of that sort has. */
export function sealSettings<S extends z.ZodType<Secret>, U extends z.ZodType<string>>({ secret, url }: Kinds<S, U>) {
  return {
    ATLAS_SEAL: z.enum(['transit', 'aws-kms', 'pkcs11']).optional(),
    ATLAS_SEAL_PATH: z.string().min(1).optional(),
    ATLAS_TRANSIT_URL: url.optional(),
    ATLAS_TRANSIT_MOUNT: path.default('transit'),
    ATLAS_TRANSIT_KEY: z
      .string()
      .regex(/^\w(([\w.-]+)?\w)?$/, 'must be a name of letters, digits, _, - and .')
      .optional(),
    ATLAS_TRANSIT_NAMESPACE: path.optional(),
    ATLAS_TRANSIT_TOKEN: secret.optional(),
    ATLAS_TRANSIT_CA: pem.optional(),
    ATLAS_KMS_KEY: z
      .string()
      .regex(/^[\w:/.-]{1,2048}$/, 'must be the id, the ARN or the alias of a key')
      .optional(),
    ATLAS_KMS_ENDPOINT: url.optional(),
    ATLAS_KMS_CA: pem.optional(),
    // Checked only when they are used: every tool of AWS on this machine may have set them.
    ATLAS_AWS_REGION: z.string().min(1).optional(),
    ATLAS_AWS_ACCESS_KEY_ID: z.string().min(1).optional(),
    ATLAS_AWS_SECRET_ACCESS_KEY: secret.optional(),
    ATLAS_AWS_SESSION_TOKEN: secret.optional(),
    ATLAS_PKCS11_MODULE: z.string().refine(isAbsolute, 'must be the absolute path of a library').optional(),
    ATLAS_PKCS11_TOKEN: z.string().min(1).max(32).optional(),
    ATLAS_PKCS11_SLOT: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
    ATLAS_PKCS11_KEY: z.string().min(1).max(255).optional(),
    ATLAS_PKCS11_PIN: secret.optional(),
  } as const
}

/** Names that AWS's own tools read. They are as right as ours, so they are read without a notice. */
export const standardNames = {
  AWS_REGION: 'ATLAS_AWS_REGION',
  AWS_ACCESS_KEY_ID: 'ATLAS_AWS_ACCESS_KEY_ID',
  AWS_SECRET_ACCESS_KEY: 'ATLAS_AWS_SECRET_ACCESS_KEY',
  AWS_SESSION_TOKEN: 'ATLAS_AWS_SESSION_TOKEN',
} as const

type Seals = z.output<z.ZodObject<ReturnType<typeof sealSettings<z.ZodType<Secret>, z.ZodType<string>>>>>

const needs = {
  transit: ['ATLAS_TRANSIT_URL', 'ATLAS_TRANSIT_KEY', 'ATLAS_TRANSIT_TOKEN'],
  'aws-kms': ['ATLAS_KMS_KEY', 'ATLAS_AWS_REGION', 'ATLAS_AWS_ACCESS_KEY_ID', 'ATLAS_AWS_SECRET_ACCESS_KEY'],
  pkcs11: ['ATLAS_PKCS11_MODULE', 'ATLAS_PKCS11_KEY', 'ATLAS_PKCS11_PIN'],
} as const

/** What the chosen seal lacks, and what does not go together. */
export function sealFaults(config: Seals & { readonly ATLAS_SEALED: boolean }): string[] {
  const { ATLAS_SEAL: kind } = config
  if (kind === undefined) return []
  const faults = needs[kind]
    .filter((name) => config[name] === undefined)
    .map((name) => `ATLAS_SEAL=${kind} needs ${name}`)
  for (const name of ['ATLAS_TRANSIT_URL', 'ATLAS_KMS_ENDPOINT'] as const) {
    const { username, password, search, hash } = new URL(config[name] ?? 'https://none.invalid')
    if (username + password + search + hash !== '')
      faults.push(`${name} must be an address alone, without a user or a query`)
  }
  if (kind === 'aws-kms' && !/^[a-z]{2,}(-[a-z]+)+-\d+$/.test(config.ATLAS_AWS_REGION ?? 'none-yet-1'))
    faults.push('ATLAS_AWS_REGION must be a region such as eu-central-1')
  if (kind === 'aws-kms' && !/^\w{4,128}$/.test(config.ATLAS_AWS_ACCESS_KEY_ID ?? 'none'))
    faults.push('ATLAS_AWS_ACCESS_KEY_ID is not the id of an access key')
  const hasToken = config.ATLAS_PKCS11_TOKEN !== undefined
  if (kind === 'pkcs11' && hasToken === (config.ATLAS_PKCS11_SLOT !== undefined))
    faults.push('ATLAS_SEAL=pkcs11 needs ATLAS_PKCS11_TOKEN or ATLAS_PKCS11_SLOT, and not both')
  if (config.ATLAS_SEALED)
    faults.push(
      'ATLAS_SEAL asks a provider for the root key and ATLAS_SEALED asks people; set one (shares open a server with ATLAS_SEAL too)',
    )
  return faults
}

/** The file that holds the wrapped root key. */
export function sealPath({ ATLAS_SEAL_PATH: path, ATLAS_DATA_DIR: data }: Places): string {
  return path === undefined ? join(data, 'root.sealed') : resolve(path)
}

type Places = { readonly ATLAS_SEAL_PATH?: string | undefined; readonly ATLAS_DATA_DIR: string }
