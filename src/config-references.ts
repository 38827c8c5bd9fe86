import { z } from 'zod'
import { Secret } from './core/secret.ts'

type Kinds = {
  readonly list: z.ZodType<string[], string>
  readonly secret: z.ZodType<Secret, string>
  readonly httpsOrLoopback: z.ZodType<string, string>
}

const segments = '[A-Za-z0-9._@+=~-]+(?:/[A-Za-z0-9._@+=~-]+)*'
const pem = z.string().includes('BEGIN CERTIFICATE')

/** What references may lead to (docs/operate/references.md): nothing, unless it is named here. */
export function referenceSettings({ list, secret, httpsOrLoopback }: Kinds) {
  const names = (pattern: RegExp, rule: string) => list.pipe(z.array(z.string().regex(pattern, rule))).default([])
  return {
    ATLAS_REFERENCE_ENV: names(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'must be names of variables'),
    ATLAS_REFERENCE_DIR: z
      .string()
      .regex(/^(\/(?!\.{1,2}(\/|$))[A-Za-z0-9._@+=~-]+)+$/, 'must be an absolute path of plain characters')
      .optional(),
    ATLAS_REFERENCE_VAULT_URL: httpsOrLoopback.optional(),
    ATLAS_REFERENCE_VAULT_TOKEN: secret.optional(),
    ATLAS_REFERENCE_VAULT_NAMESPACE: z
      .string()
      .regex(new RegExp(`^${segments}$`), 'must be the path of a namespace')
      .optional(),
    ATLAS_REFERENCE_VAULT_CA: pem.optional(),
    ATLAS_REFERENCE_VAULT_KV: names(
      new RegExp(`^${segments}(?::(?:${segments})?)?/?$`),
      'must look like secret/atlas/ or team/kv:atlas/',
    ),
    ATLAS_REFERENCE_VAULT_LEASES: names(new RegExp(`^${segments}$`), 'must look like database/creds/atlas'),
    ATLAS_REFERENCE_AWS_REGION: z
      .string()
      .regex(/^[a-z0-9-]{1,32}$/, 'must look like eu-central-1')
      .optional(),
    ATLAS_REFERENCE_AWS_ACCESS_KEY_ID: z
      .string()
      .regex(/^\w{16,128}$/, 'must be the id of an access key')
      .optional(),
    ATLAS_REFERENCE_AWS_SECRET_ACCESS_KEY: secret.optional(),
    ATLAS_REFERENCE_AWS_SESSION_TOKEN: secret.optional(),
    ATLAS_REFERENCE_AWS_ENDPOINT: httpsOrLoopback.optional(),
    ATLAS_REFERENCE_AWS_CA: pem.optional(),
    ATLAS_REFERENCE_AWS_NAMES: names(/^[A-Za-z0-9/_+=.@-]{1,512}$/, 'must look like atlas/'),
  }
}

type Settings = Readonly<Record<`ATLAS_REFERENCE_${string}`, unknown>> & {
  readonly ATLAS_REFERENCE_ENV: readonly string[]
  readonly ATLAS_REFERENCE_DIR?: string | undefined
}

/** What belongs together is set together, and no reference reads what Atlas itself is protected by. */
export function referenceFaults(config: Settings, isAlias: (name: string) => boolean): string[] {
  const faults = config.ATLAS_REFERENCE_ENV.filter(
    (name) => name.toUpperCase().startsWith('ATLAS_') || isAlias(name.replace(/_FILE$/, '')),
  ).map((name) => `ATLAS_REFERENCE_ENV: ${name} is a setting of Atlas, which no reference may read`)
  const isSet = (name: keyof Settings) => {
    const value = config[name]
    return Array.isArray(value) ? value.length > 0 : value !== undefined
  }
  const together = (...names: (keyof Settings)[]) => {
    const missing = names.filter((name) => !isSet(name))
    if (missing.length > 0 && missing.length < names.length)
      faults.push(`${names.filter(isSet).join(', ')}: also set ${missing.join(', ')}, or none of them`)
  }
  together('ATLAS_REFERENCE_VAULT_URL', 'ATLAS_REFERENCE_VAULT_TOKEN')
  together(
    'ATLAS_REFERENCE_AWS_REGION',
    'ATLAS_REFERENCE_AWS_ACCESS_KEY_ID',
    'ATLAS_REFERENCE_AWS_SECRET_ACCESS_KEY',
    'ATLAS_REFERENCE_AWS_NAMES',
  )
  const isAllowed = isSet('ATLAS_REFERENCE_VAULT_KV') || isSet('ATLAS_REFERENCE_VAULT_LEASES')
  if (isSet('ATLAS_REFERENCE_VAULT_URL') !== isAllowed)
    faults.push(
      'ATLAS_REFERENCE_VAULT_URL and what may be read there (ATLAS_REFERENCE_VAULT_KV or ATLAS_REFERENCE_VAULT_LEASES) belong together',
    )
  return faults
}

/** The named variables as far as they are set. */
export function referencedIn(
  given: Readonly<Record<string, string>>,
  names: readonly string[],
): Readonly<Record<string, Secret>> {
  const set = names.filter((name) => Object.hasOwn(given, name) && given[name] !== '')
  return Object.fromEntries(set.map((name) => [name, new Secret(given[name] ?? '')]))
}
