import { X509Certificate } from 'node:crypto'
import { Cron } from 'croner'
import type { Connector } from '../../core/connector.ts'
import { type FieldFault, Problem } from '../../core/problem.ts'
import { originFault } from '../../lib/http-address.ts'
import { faultsBelow } from './credential.ts'

export const defaultSchedule = '*/15 * * * *'

/** What is wrong with a connection's settings, by the connector's own schema and by the rule for addresses. */
export function configFaults(connector: Connector, config: unknown, allowLoopback: boolean): FieldFault[] {
  const result = connector.config.strict().safeParse(config)
  const faults = faultsBelow('/config', result.error)
  const { url } = (result.data ?? {}) as { url?: unknown }
  const rule = typeof url === 'string' ? originFault(url, { allowLoopback }) : undefined
  return rule === undefined ? faults : [...faults, { field: '/config/url', rule }]
}

/** A cron text of five fields, in UTC, that comes round at least once. */
export function scheduleFaults(schedule: string | null | undefined): FieldFault[] {
  if (schedule === null || schedule === undefined || nextTime(schedule, new Date(0)) !== null) return []
  return [
    { field: '/schedule', rule: 'must be five cron fields (minute hour day month weekday, UTC), or null for never' },
  ]
}

/** When a schedule comes round next after `after`, or null when it never does (or is no schedule). */
export function nextTime(schedule: string, after: Date): Date | null {
  try {
    return new Cron(schedule, { mode: '5-part', timezone: 'UTC', paused: true }).nextRun(after)
  } catch {
    return null
  }
}

/** One or more PEM certificates and nothing else: a private key pasted by mistake is not stored. */
export function certificateFaults(pem: string | null | undefined): FieldFault[] {
  if (pem === null || pem === undefined) return []
  const fault = (rule: string) => [{ field: '/caCertificate', rule }]
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  const rest = pem.replaceAll(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g, '')
  if (blocks.length === 0 || /-----BEGIN/.test(rest)) return fault('must be certificates in PEM form, and nothing else')
  try {
    for (const block of blocks) new X509Certificate(block)
    return []
  } catch {
    return fault('holds a certificate that cannot be read')
  }
}

export function refuse(faults: readonly FieldFault[]): void {
  const [first] = faults
  if (first) throw new Problem('invalid-input', `${first.field}: ${first.rule}`, { faults })
}
