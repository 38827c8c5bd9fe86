import { lstatSync, readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { z } from 'zod'
import { isLoopback, isSafeUrl } from './config-address.ts'
import { referencedIn, referenceFaults, referenceSettings } from './config-references.ts'
import { sealFaults, sealSettings, standardNames } from './config-seals.ts'
import { sinkFaults, sinkSettings } from './config-sinks.ts'
import { Secret } from './core/secret.ts'
import {
  parseDetailRetention,
  parseEntryRetention,
  RetentionError,
  retentionConflict,
} from './features/audit/retention-policy.ts'
import { nextTimes } from './lib/cron.ts'
import { NoteError } from './lib/signed-note.ts'
import { type Policy, parsePolicy } from './lib/tlog-policy.ts'

const secret = z
  .string()
  .min(1)
  .transform((value) => new Secret(value))
const port = z.coerce.number().int().min(0).max(65_535)
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean),
)
const httpsOrLoopback = z.url().refine(isSafeUrl, 'must be https (http only on loopback)')
const origin = z
  .string()
  .refine(
    (text) => URL.canParse(text) && new URL(text).origin === text,
    'must be an exact origin such as https://app.example; * is refused',
  )
const seconds = z
  .string()
  .regex(/^\d+[smh]?$/, 'must be a duration such as 900s, 15m or 1h')
  .transform(toSeconds)

/** Everything that can be configured; `.env.example` and docs/operate/configuration.md list the same names (test/parity.test.ts). */
export const settings = {
  ATLAS_HOST: z.string().min(1).default('127.0.0.1'),
  ATLAS_PORT: port.default(8080),
  ATLAS_DATA_DIR: z
    .string()
    .min(1)
    .default('./data')
    .transform((path) => resolve(path)),
  ATLAS_DATABASE_URL: z
    .string()
    .regex(/^postgres(ql)?:\/\//, 'must start with postgresql://')
    .transform((value) => new Secret(value))
    .optional(),
  ATLAS_DATABASE_CA: z.string().includes('BEGIN CERTIFICATE').optional(),
  ATLAS_SECRET_KEY: secret.optional(),
  ATLAS_SECRET_KEY_PREVIOUS: secret.optional(),
  ATLAS_SEALED: z.stringbool().default(false),
  ...sealSettings({ secret, url: httpsOrLoopback }),
  ATLAS_SESSION_SECRET: z
    .string()
    .min(32, 'must have 32 characters or more; make one with: atlas secrets gen')
    .transform((value) => new Secret(value))
    .optional(),
  ATLAS_API_TOKEN: secret.optional(),
  ATLAS_DEFAULT_ADMIN_PASSWORD: secret.optional(),
  ATLAS_SSL_CERTFILE: z.string().min(1).optional(),
  ATLAS_SSL_KEYFILE: z.string().min(1).optional(),
  ATLAS_TRUSTED_PROXIES: list.pipe(z.array(z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]))).default([]),
  ATLAS_CORS_ORIGINS: list.pipe(z.array(origin)).default([]),
  ATLAS_PUBLIC_URL: httpsOrLoopback.optional(),
  ATLAS_TOKEN_EXPIRY: seconds
    .pipe(z.number().min(60, 'must be at least 60s').max(3600, 'must be at most 1h'))
    .default(3600),
  ATLAS_RATE_LIMIT_RPM: z.coerce.number().int().min(1).max(10_000_000).default(100),
  ATLAS_LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  ATLAS_METRICS_TOKEN: z
    .string()
    .min(32, 'must have 32 characters or more; make one with: atlas secrets gen')
    .transform((value) => new Secret(value))
    .optional(),
  ATLAS_AUDIT_ENABLED: z
    .stringbool()
    .default(true)
    .refine((isOn) => isOn, 'the audit log is always on; it cannot be switched off'),
  ATLAS_AUDIT_ORIGIN: z
    .string()
    .regex(/^[a-z0-9.-]+(\/[a-z0-9._-]+)*$/, 'must look like atlas.example.org/audit')
    .optional(),
  ATLAS_AUDIT_POLICY: z.string().transform(toPolicy).optional(),
  ATLAS_BACKUP_DIR: z
    .string()
    .min(1)
    .transform((path) => resolve(path))
    .optional(),
  ATLAS_BACKUP_SCHEDULE: z
    .string()
    .refine(
      (text) => nextTimes(text, new Date(), 1).length > 0,
      'must be five cron fields (minute hour day month weekday, UTC)',
    )
    .optional(),
  ATLAS_BACKUP_KEEP: z.coerce.number().int().min(1).max(1000).default(7),
  ATLAS_AUDIT_RETENTION: retention(parseEntryRetention).optional(),
  ATLAS_AUDIT_DETAIL_RETENTION: retention(parseDetailRetention).optional(),
  ...sinkSettings,
  ATLAS_ALLOW_LOOPBACK_CONNECTIONS: z.stringbool().default(false),
  ...referenceSettings({ secret, list, httpsOrLoopback }),
  ATLAS_URL: httpsOrLoopback.optional(),
  ATLAS_TOKEN: secret.optional(),
} as const

/** Names that the systems Atlas replaces use; read with a notice, and only when our own name is not set. */
export const aliases: Readonly<Record<string, keyof typeof settings>> = {
  ATLAS_MCP_TOKEN: 'ATLAS_API_TOKEN',
  MCP_TOKEN: 'ATLAS_API_TOKEN',
  ATLAS_UI_PASSWORD: 'ATLAS_DEFAULT_ADMIN_PASSWORD',
  ATLAS_UI_SECRET: 'ATLAS_SESSION_SECRET',
  SECRET_KEY: 'ATLAS_SECRET_KEY',
  ENCRYPTION_KEY: 'ATLAS_SECRET_KEY',
  CORS_ORIGINS: 'ATLAS_CORS_ORIGINS',
  INFRAGENIUS_HOST: 'ATLAS_HOST',
  INFRAGENIUS_PORT: 'ATLAS_PORT',
  INFRAGENIUS_LOG_LEVEL: 'ATLAS_LOG_LEVEL',
  ...standardNames,
}

const Config = z.strictObject(settings)
export type Config = z.output<typeof Config> & {
  readonly notices: readonly string[]
  /** Settings that came from a file, with its path: what may be read there anew. */
  readonly valueFiles: Readonly<Record<string, string>>
  /** The variables that ATLAS_REFERENCE_ENV names, as far as they are set. */
  readonly referenced: Readonly<Record<string, Secret>>
  /** The environment without our settings and what secrets refer to: for a vendor's library in a process of its own. */
  readonly foreign: Readonly<Record<string, string>>
  /** The file that the root key was read from, when it was one. */
  readonly keyFile?: string
}

/** Every fault of the configuration at once; the text names variables and rules, never values. */
export class ConfigError extends Error {
  constructor(faults: readonly string[]) {
    super(
      `The configuration has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`,
    )
    this.name = 'ConfigError'
  }
}

/**
 * Reads the environment and `.env` (the environment wins). `ATLAS_X_FILE` gives `ATLAS_X` from a file.
 * An unknown `ATLAS_` name is a fault, so that a typo cannot switch a protection off.
 */
export function readConfig(env: NodeJS.ProcessEnv, envFile?: string): Config {
  const faults: string[] = []
  const notices: string[] = []
  const given = { ...readEnvFile(envFile, faults), ...defined(env) }
  const values: Record<string, string> = {}
  const origins: Record<string, string> = {}
  for (const [name, value] of Object.entries(given)) {
    const isFile = name.endsWith('_FILE') && (name.slice(0, -5) in settings || name.slice(0, -5) in aliases)
    const base = isFile ? name.slice(0, -5) : name
    const alias = Object.hasOwn(aliases, base) ? aliases[base] : undefined
    const target = alias ?? base
    if (!Object.hasOwn(settings, target)) {
      if (name.startsWith('ATLAS_')) faults.push(`${name} is not a setting${suggestion(name)}`)
      continue
    }
    const earlier = origins[target]
    if (alias && (earlier || given[alias] !== undefined || given[`${alias}_FILE`] !== undefined)) {
      notices.push(`${name} is ignored, because ${earlier ?? alias} is set`)
      continue
    }
    if (earlier && !Object.hasOwn(aliases, earlier.replace(/_FILE$/, ''))) {
      faults.push(`${name} and ${earlier} both set ${target}; keep one`)
      continue
    }
    origins[target] = name
    if (alias && !Object.hasOwn(standardNames, base)) notices.push(`${name} is read as ${target}; please rename it`)
    const text = isFile ? readValueFile(name, value, faults, opensRootKey.test(target)) : value
    if (text !== undefined && text !== '') values[target] = text
  }
  const result = Config.safeParse(values)
  for (const issue of result.error?.issues ?? [])
    faults.push(`${origins[String(issue.path[0])] ?? issue.path.join('.')}: ${issue.message}`)
  if (result.data) faults.push(...crossFaults(result.data))
  if (env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0')
    faults.push('NODE_TLS_REJECT_UNAUTHORIZED=0 would switch certificate checks off; unset it')
  if (faults.length > 0 || !result.data) throw new ConfigError(faults)
  const keyOrigin = origins['ATLAS_SECRET_KEY']
  const keyFile = keyOrigin?.endsWith('_FILE') ? given[keyOrigin] : undefined
  const referenced = referencedIn(given, result.data.ATLAS_REFERENCE_ENV)
  const fromFiles = Object.entries(origins).filter(([, name]) => name.endsWith('_FILE'))
  const valueFiles = Object.fromEntries(fromFiles.map(([target, name]) => [target, resolve(given[name] ?? '')]))
  return {
    ...result.data,
    notices,
    valueFiles,
    referenced,
    foreign: foreignIn(env, Object.keys(referenced)),
    ...(keyFile !== undefined && { keyFile: resolve(keyFile) }),
  }
}

function foreignIn(env: NodeJS.ProcessEnv, referenced: readonly string[]): Record<string, string> {
  const isOurs = (name: string) =>
    name.startsWith('ATLAS_') || Object.hasOwn(aliases, name.replace(/_FILE$/, '')) || referenced.includes(name)
  return Object.fromEntries(Object.entries(defined(env)).filter(([name]) => !isOurs(name)))
}

function crossFaults(config: z.output<typeof Config>): string[] {
  const faults: string[] = []
  const { ATLAS_SSL_CERTFILE: cert, ATLAS_SSL_KEYFILE: key, ATLAS_HOST: host } = config
  if ((cert === undefined) !== (key === undefined))
    faults.push('ATLAS_SSL_CERTFILE and ATLAS_SSL_KEYFILE belong together; set both or none')
  if (config.ATLAS_SEALED && config.ATLAS_SECRET_KEY)
    faults.push('ATLAS_SEALED waits for the root key in shares, so ATLAS_SECRET_KEY must not be set')
  faults.push(...sealFaults(config))
  const { ATLAS_AUDIT_RETENTION: entries, ATLAS_AUDIT_DETAIL_RETENTION: details } = config
  const conflict = retentionConflict({ ...(entries !== undefined && { entries }), ...details })
  if (conflict !== undefined) faults.push(`ATLAS_AUDIT_DETAIL_RETENTION: ${conflict} (ATLAS_AUDIT_RETENTION)`)
  const proxied = config.ATLAS_TRUSTED_PROXIES.length > 0
  if (config.ATLAS_TRUSTED_PROXIES.some((range) => /\/0+$/.test(range)))
    faults.push('ATLAS_TRUSTED_PROXIES: a range that holds every address trusts everybody; name the proxies')
  if (!isLoopback(host) && cert === undefined && !proxied)
    faults.push(
      'ATLAS_HOST is not loopback, so plain http is refused: set ATLAS_SSL_CERTFILE and ATLAS_SSL_KEYFILE, or name the TLS proxy in ATLAS_TRUSTED_PROXIES',
    )
  if (proxied && config.ATLAS_PUBLIC_URL === undefined)
    faults.push('ATLAS_PUBLIC_URL must say the public address when ATLAS_TRUSTED_PROXIES is set')
  return [...faults, ...referenceFaults(config, (name) => Object.hasOwn(aliases, name)), ...sinkFaults(config)]
}

/** Settings that `.env` holds as plain text though they are secrets and could each stand in a file of their own. */
export function plainSecretsIn(envFile: string): string[] {
  const names = Object.keys(readEnvFile(envFile, [])).filter((name) => !name.endsWith('_FILE'))
  const isSecret = (name: string) => {
    const target = aliases[name] ?? name
    const setting = Object.hasOwn(settings, target) ? settings[target as keyof typeof settings] : undefined
    return samples.some((sample) => setting?.safeParse(sample).data instanceof Secret)
  }
  return names.filter(isSecret).sort()
}

/** Every secret there is takes one of these; what it becomes tells whether a setting is one. */
const samples = ['x'.repeat(64), 'postgresql://h/d', `whsec_${'x'.repeat(64)}`]

function defined(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((pair): pair is [string, string] => pair[1] !== undefined))
}

function readEnvFile(path: string | undefined, faults: string[]): Record<string, string> {
  if (path === undefined) return {}
  const status = lstatSync(path, { throwIfNoEntry: false })
  if (!status) return {}
  if (status.mode & 0o077) {
    faults.push(`${path} can be read by others (mode ${(status.mode & 0o777).toString(8)}); run: chmod 600 ${path}`)
    return {}
  }
  const values: Record<string, string> = {}
  for (const [index, line] of readFileSync(path, 'utf8').split(/\r?\n/).entries()) {
    if (/^\s*(#|$)/.test(line)) continue
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^#]*?))\s*(?:#.*)?$/.exec(
      line,
    )
    if (!match?.[1]) faults.push(`${path} line ${index + 1} is not NAME=value`)
    else values[match[1]] = match[2] ?? match[3] ?? match[4] ?? ''
  }
  return values
}

/** Whoever reads one of these can get at the root key, and so at everything. */
const opensRootKey = /^ATLAS_(SECRET_KEY|TRANSIT_TOKEN$|AWS_SECRET_ACCESS_KEY$|AWS_SESSION_TOKEN$|PKCS11_PIN$)/

function readValueFile(name: string, path: string, faults: string[], isKey: boolean): string | undefined {
  try {
    const { mode } = statSync(path)
    if (isKey && mode & 0o077) {
      faults.push(
        `${name}: what opens the root key can be read by others (mode ${(mode & 0o777).toString(8)}); run: chmod 600 ${path}`,
      )
      return undefined
    }
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    faults.push(`${name}: the file cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`)
    return undefined
  }
}

/** The setting whose name is nearest, when it is near. */
function suggestion(name: string): string {
  const wanted = name.replace(/_FILE$/, '')
  const [near] = Object.keys(settings)
    .map((known) => ({ known, far: distance(known, wanted) }))
    .filter(({ far }) => far <= 3)
    .sort((x, y) => x.far - y.far)
  return near ? `; did you mean ${near.known}?` : ''
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next.push(
        Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)),
      )
    row = next
  }
  return row[b.length] ?? 0
}

/** The policy, when it is one and each witness is asked over https. */
function toPolicy(text: string, context: z.RefinementCtx): Policy {
  try {
    const policy = parsePolicy(text)
    for (const { name, url } of policy.witnesses)
      if (url !== undefined && !isSafeUrl(url)) throw new NoteError(`${name} must be asked over https`)
    return policy
  } catch (error) {
    if (!(error instanceof NoteError)) throw error
    context.addIssue(error.message)
    return z.NEVER
  }
}

/** A retention in days, or the plain words why it is none. */
function retention<T>(parse: (text: string) => T) {
  return z.string().transform((text, context): T => {
    try {
      return parse(text)
    } catch (error) {
      if (!(error instanceof RetentionError)) throw error
      context.addIssue(error.message)
      return z.NEVER
    }
  })
}

function toSeconds(text: string): number {
  const unit = { s: 1, m: 60, h: 3600 }[text.at(-1) ?? ''] ?? 1
  return Number.parseInt(text, 10) * unit
}
