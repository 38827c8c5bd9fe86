import type { EventCode } from '../features/audit/catalogue.ts'

export type { EventCode }

/** What one call through the gate can leave in the log. Every action has these; a door that calls the gate declares them. */
export const gateEvents = [
  'action.started',
  'action.succeeded',
  'action.failed',
  'action.asked',
  'action.refused-again',
] as const satisfies readonly EventCode[]

/** What a call can leave besides, when it opens a connection: its secret may not open, its certificate may be another one. */
export const connectionEvents = [
  'vault.integrity-failed',
  'vault.reference-failed',
  'connection.certificate-changed',
  'connection.tls-failed',
  'connection.pin-mismatch',
] as const satisfies readonly EventCode[]

/** What a request with a bad token can leave in the log, at every route that wants one. */
export const tokenEvents = ['auth.failed', 'auth.refused-again'] as const satisfies readonly EventCode[]
