import { pino } from 'pino'

/** Log lines for operators: fields first, then a fixed message. What happened and who did it is the audit log's matter. */
export type Log = {
  readonly debug: (fields: object, message: string) => void
  readonly info: (fields: object, message: string) => void
  readonly warn: (fields: object, message: string) => void
  readonly error: (fields: object, message: string) => void
}

type Parts = {
  readonly level: string
  /** Takes known secret values out of what is about to be written. */
  readonly redact: (value: unknown) => unknown
  /** Where lines go; standard error when absent, so that standard output stays free for answers. */
  readonly write?: (line: string) => void
}

/** JSON lines. An error is reduced to name, message, stack and cause, and everything passes `redact`. */
export function makeLog({ level, redact, write }: Parts): Log {
  const out = write ?? standardError()
  const stream = { write: (line: string) => out(line.replace(odd, escaped)) }
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, stream)
  const at = (name: 'debug' | 'info' | 'warn' | 'error') => (fields: object, message: string) => {
    if (logger.isLevelEnabled(name)) logger[name](redact(plain(fields)), message)
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

function standardError(): (line: string) => void {
  const file = pino.destination({ fd: 2, sync: true })
  return (line) => void file.write(line)
}

/**
 * What JSON leaves as it is, and programs take for a line end, a terminal takes for a command, or an eye does not see: C1
 * controls, line and paragraph separators, marks of direction. They stand in strings only, where their escape means the same.
 */
const odd = /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g

function escaped(sign: string): string {
  return `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function plain(fields: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? describe(value, 0) : value]),
  )
}

/** What a person needs to find a fault. Properties that drivers hang on errors (queries, parameters, peers) are left out. */
function describe(error: Error, depth: number): Record<string, unknown> {
  const { code } = error as { code?: unknown }
  return {
    name: error.name,
    message: error.message,
    stack: error.stack,
    ...(typeof code === 'string' && { code }),
    ...(error.cause instanceof Error && depth < 3 && { cause: describe(error.cause, depth + 1) }),
  }
}
