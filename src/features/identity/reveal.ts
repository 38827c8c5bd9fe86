import type { Secret } from '../../core/secret.ts'

/** The one line of this room that opens a `Secret`: passwords to be hashed, one-time and bootstrap tokens to be compared. */
export const typed = (secret: Secret): string => secret.reveal()
