import type { SinkEntry } from './sink.ts'

/** What is the same in all messages of a process. */
export type SyslogOrigin = {
  readonly origin: string
  readonly hostname: string
  readonly pid: number
  /** A registered private enterprise number, for the name of the structured data. */
  readonly enterprise: number
}

const appName = 'infrastructure-atlas'
// RFC 5424 §6.2.1: facility 13 is "log audit".
const facility = 13
const severity = { critical: 2, warning: 4, informational: 6 }
/** The log or what it guards is not as it was left. */
const critical = new Set(['vault.integrity-failed', 'log.witness-contradicts'])
const byteOrderMark = '\ufeff'

/**
 * An entry as a syslog message (RFC 5424 §6): who, when and what in the header, its place in the log in the structured data, and the exact
 * leaf as the text. The leaf is canonical JSON, so the message is one line whatever somebody put into a name.
 */
export function syslogMessage(
  { index, leaf, hash }: SinkEntry,
  { origin, hostname, pid, enterprise }: SyslogOrigin,
): Buffer {
  const { at, code, outcome } = JSON.parse(leaf.toString('utf8')) as Record<string, unknown>
  const priority = facility * 8 + severityOf(String(code), outcome)
  const header = [`<${priority}>1`, timestamp(at), word(hostname, 255), appName, String(pid), word(code, 32)]
  const data = { index: String(index), origin, leafHash: hash.toString('base64') }
  const parameters = Object.entries(data).map(([name, value]) => ` ${name}="${escaped(value)}"`)
  const head = `${header.join(' ')} [atlas@${enterprise}${parameters.join('')}] ${byteOrderMark}`
  return Buffer.concat([Buffer.from(head), leaf])
}

/** A message on a stream: its length in octets, a space, and itself (RFC 5425 §4.3). */
export function framed(message: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${message.length} `), message])
}

function severityOf(code: string, outcome: unknown): number {
  if (critical.has(code)) return severity.critical
  return outcome === undefined || outcome === 'ok' ? severity.informational : severity.warning
}

/** RFC 3339 with at most six digits of a second, which the log's times are; `-` for anything else (§6.2.3). */
function timestamp(at: unknown): string {
  return typeof at === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/.test(at) ? at : '-'
}

/** Printable ASCII without spaces, or `-`. */
function word(text: unknown, longest: number): string {
  return typeof text === 'string' && /^[\x21-\x7e]+$/.test(text) && text.length <= longest ? text : '-'
}

/** §6.3.3: these three, and no others. */
function escaped(value: string): string {
  return value.replaceAll(/["\\\]]/g, (char) => `\\${char}`)
}
