import { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { z } from 'zod'
import { isLoopback, isSafeUrl } from './config-address.ts'
import { Secret } from './core/secret.ts'
import type { SinkSettings } from './features/audit/sinks/sinks.ts'

// The settings of the audit log's sinks: their forms, what belongs together, and what they become.

const pem = z.string().includes('BEGIN CERTIFICATE', { error: 'must be PEM certificates' })
const secret = z
  .string()
  .min(1)
  .transform((value) => new Secret(value))
const webhookSecret = z
  .string()
  .refine(isWebhookSecret, 'must be whsec_ and 24 to 64 bytes in base64')
  .transform((value) => new Secret(value))

export const sinkSettings = {
  ATLAS_AUDIT_SINKS_FROM: z.enum(['first', 'now']).default('first'),
  ATLAS_AUDIT_SYSLOG: z
    .string()
    .refine(isSyslogUrl, 'must look like tls://logs.example.org:6514 (tcp:// only on loopback)')
    .optional(),
  ATLAS_AUDIT_SYSLOG_CA: pem.optional(),
  ATLAS_AUDIT_SYSLOG_CERT: pem.optional(),
  ATLAS_AUDIT_SYSLOG_KEY: secret.optional(),
  ATLAS_AUDIT_SYSLOG_ENTERPRISE: z.coerce.number().int().min(1).max(4_294_967_295).default(32_473),
  ATLAS_AUDIT_WEBHOOK_URL: z
    .string()
    .refine(isWebUrl, 'must be https (http only on loopback), without a name or password')
    .optional(),
  ATLAS_AUDIT_WEBHOOK_CA: pem.optional(),
  ATLAS_AUDIT_WEBHOOK_SECRET: webhookSecret.optional(),
  ATLAS_AUDIT_WEBHOOK_SECRET_PREVIOUS: webhookSecret.optional(),
  ATLAS_AUDIT_S3_BUCKET: z
    .string()
    .refine((text) => isWebUrl(text) && !/[?#]/.test(text), "must be the bucket's https URL (http only on loopback)")
    .optional(),
  ATLAS_AUDIT_S3_PREFIX: z
    .string()
    .regex(/^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*\/?$/, 'must look like atlas/production')
    .transform((text) => (text.endsWith('/') ? text : `${text}/`))
    .optional(),
  ATLAS_AUDIT_S3_REGION: z
    .string()
    .regex(/^[a-z0-9-]+$/)
    .optional(),
  ATLAS_AUDIT_S3_CA: pem.optional(),
  ATLAS_AUDIT_S3_ACCESS_KEY_ID: z
    .string()
    .regex(/^[\x21-\x7e]{1,128}$/)
    .optional(),
  ATLAS_AUDIT_S3_SECRET_ACCESS_KEY: secret.optional(),
  ATLAS_AUDIT_S3_LOCK_MODE: z.enum(['COMPLIANCE', 'GOVERNANCE']).default('COMPLIANCE'),
  ATLAS_AUDIT_S3_LOCK_DAYS: z.coerce.number().int().min(1).max(36_500).optional(),
} as const

const Settings = z.object(sinkSettings)
type Settings = z.output<typeof Settings>
type Name = keyof Settings

/** What must never be shown. */
export const sinkSecrets = [
  'ATLAS_AUDIT_SYSLOG_KEY',
  'ATLAS_AUDIT_WEBHOOK_SECRET',
  'ATLAS_AUDIT_WEBHOOK_SECRET_PREVIOUS',
  'ATLAS_AUDIT_S3_SECRET_ACCESS_KEY',
] as const satisfies readonly Name[]

/** What each sink must have beside its address, and what is of use only with it. */
const parts: Readonly<
  Record<string, { readonly address: Name; readonly needs: readonly Name[]; readonly may: readonly Name[] }>
> = {
  syslog: {
    address: 'ATLAS_AUDIT_SYSLOG',
    needs: [],
    may: ['ATLAS_AUDIT_SYSLOG_CA', 'ATLAS_AUDIT_SYSLOG_CERT', 'ATLAS_AUDIT_SYSLOG_KEY'],
  },
  webhook: {
    address: 'ATLAS_AUDIT_WEBHOOK_URL',
    needs: ['ATLAS_AUDIT_WEBHOOK_SECRET'],
    may: ['ATLAS_AUDIT_WEBHOOK_CA', 'ATLAS_AUDIT_WEBHOOK_SECRET_PREVIOUS'],
  },
  s3: {
    address: 'ATLAS_AUDIT_S3_BUCKET',
    needs: [
      'ATLAS_AUDIT_S3_REGION',
      'ATLAS_AUDIT_S3_ACCESS_KEY_ID',
      'ATLAS_AUDIT_S3_SECRET_ACCESS_KEY',
      'ATLAS_AUDIT_S3_LOCK_DAYS',
    ],
    may: ['ATLAS_AUDIT_S3_CA', 'ATLAS_AUDIT_S3_PREFIX'],
  },
}

/** What does not fit together, by name and without a value. */
export function sinkFaults(config: Settings): string[] {
  const faults: string[] = []
  for (const { address, needs, may } of Object.values(parts)) {
    const isSet = config[address] !== undefined
    const wrong = (isSet ? needs : [...needs, ...may]).filter((name) => (config[name] !== undefined) !== isSet)
    for (const name of wrong)
      faults.push(isSet ? `${address} needs ${name}` : `${name} is of no use without ${address}`)
  }
  const { ATLAS_AUDIT_SYSLOG_CERT: cert, ATLAS_AUDIT_SYSLOG_KEY: key } = config
  if ((cert === undefined) !== (key === undefined))
    faults.push('ATLAS_AUDIT_SYSLOG_CERT and ATLAS_AUDIT_SYSLOG_KEY belong together; set both or none')
  else if (cert !== undefined && !isPair(cert, key?.reveal()))
    faults.push(
      'ATLAS_AUDIT_SYSLOG_CERT and ATLAS_AUDIT_SYSLOG_KEY are not a certificate and its private key in PEM form',
    )
  for (const name of ['ATLAS_AUDIT_SYSLOG_CA', 'ATLAS_AUDIT_WEBHOOK_CA', 'ATLAS_AUDIT_S3_CA'] as const)
    if (!isBundle(config[name])) faults.push(`${name} cannot be read as PEM certificates`)
  return faults
}

/** The settings as the audit log takes them. Only for a configuration without faults. */
export function sinksOf(config: Settings): SinkSettings {
  const { ATLAS_AUDIT_SYSLOG: syslog, ATLAS_AUDIT_WEBHOOK_URL: webhook, ATLAS_AUDIT_S3_BUCKET: bucket } = config
  const secrets = [config.ATLAS_AUDIT_WEBHOOK_SECRET, config.ATLAS_AUDIT_WEBHOOK_SECRET_PREVIOUS]
  return {
    begin: config.ATLAS_AUDIT_SINKS_FROM,
    ...(syslog !== undefined && {
      syslog: {
        url: syslog,
        ca: config.ATLAS_AUDIT_SYSLOG_CA,
        cert: config.ATLAS_AUDIT_SYSLOG_CERT,
        key: config.ATLAS_AUDIT_SYSLOG_KEY,
        enterprise: config.ATLAS_AUDIT_SYSLOG_ENTERPRISE,
      },
    }),
    ...(webhook !== undefined && {
      webhook: {
        url: webhook,
        ca: config.ATLAS_AUDIT_WEBHOOK_CA,
        secrets: secrets.filter((one) => one !== undefined),
      },
    }),
    ...(bucket !== undefined && {
      s3: {
        bucket,
        prefix: config.ATLAS_AUDIT_S3_PREFIX ?? '',
        region: config.ATLAS_AUDIT_S3_REGION as string,
        ca: config.ATLAS_AUDIT_S3_CA,
        accessKeyId: config.ATLAS_AUDIT_S3_ACCESS_KEY_ID as string,
        secretAccessKey: config.ATLAS_AUDIT_S3_SECRET_ACCESS_KEY as Secret,
        lockMode: config.ATLAS_AUDIT_S3_LOCK_MODE,
        lockDays: config.ATLAS_AUDIT_S3_LOCK_DAYS as number,
      },
    }),
  }
}

/** A TLS context takes a bundle that it cannot read, and then trusts nobody. */
function isBundle(text: string | undefined): boolean {
  try {
    for (const [block] of text?.matchAll(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? [])
      new X509Certificate(block)
    return true
  } catch {
    return false
  }
}

function isPair(cert: string, key: string | undefined): boolean {
  try {
    createSecureContext({ cert, key })
    return true
  } catch {
    return false
  }
}

/** Whether a text is a secret of 24 to 64 bytes in the form that Standard Webhooks gives it. */
function isWebhookSecret(text: string): boolean {
  const [, encoded = ''] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? []
  const bytes = Buffer.from(encoded, 'base64')
  return bytes.toString('base64') === encoded && bytes.length >= 24 && bytes.length <= 64
}

/** An address can hold what gives access in its path or query; a name and a password in it would end up in proxies' logs. */
function isWebUrl(text: string): boolean {
  if (!isSafeUrl(text)) return false
  const { username, password } = new URL(text)
  return username === '' && password === ''
}

function isSyslogUrl(text: string): boolean {
  if (!/^(tls|tcp):\/\/([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?$/.test(text) || !URL.canParse(text))
    return false
  const { protocol, hostname } = new URL(text)
  return protocol === 'tls:' || isLoopback(hostname)
}
