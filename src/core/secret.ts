import { inspect } from 'node:util'
import { z } from 'zod'

/** A value that does not print. Only `authenticate` functions and the vault may call `reveal` (test/architecture.test.ts). */
export class Secret {
  readonly #value: string
  constructor(value: string) {
    this.#value = value
  }
  reveal(): string {
    return this.#value
  }
  toString(): string {
    return '[secret]'
  }
  toJSON(): string {
    return '[secret]'
  }
  [inspect.custom](): string {
    return '[secret]'
  }
}

/**
 * A secret in an action's input: a plain string on the wire, a `Secret` as soon as it is parsed.
 * At most 16 KiB (a PEM key fits). JSON Schema shows it as `format: password, writeOnly`.
 */
export const SecretValue = z
  .string()
  .min(1)
  .max(16_384)
  .meta({ format: 'password', writeOnly: true })
  .transform((value) => new Secret(value))
