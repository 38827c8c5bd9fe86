import { z } from 'zod'
import type { Connector } from '../../core/connector.ts'
import type { FieldFault } from '../../core/problem.ts'
import { Secret } from '../../core/secret.ts'

/**
 * Credential values of one server: secrets from the moment they are parsed, which only the connector's own schema may
 * look at once more. The text is kept beside the secret for as long as the input lives, and has no way out but `faults`.
 */
export function makeCredentials() {
  const texts = new WeakMap<Secret, string>()

  const value = z
    .string()
    .min(1)
    .max(16_384)
    .meta({ format: 'password', writeOnly: true })
    .transform((text) => {
      const secret = new Secret(text)
      texts.set(secret, text)
      return secret
    })

  /** What the connector's schema says against the fields. `partial`: only the given fields are looked at. */
  function faults(connector: Connector, given: Credential, { partial }: { partial: boolean }): FieldFault[] {
    const plain = Object.fromEntries(Object.entries(given).map(([field, secret]) => [field, texts.get(secret)]))
    // Rules over several fields cannot be judged when some are not given.
    const schema = partial ? z.strictObject(connector.credential.shape).partial() : connector.credential.strict()
    const result = schema.safeParse(plain)
    return faultsBelow('/credential', result.error)
  }

  return { value, faults }
}

export type Credentials = ReturnType<typeof makeCredentials>
export type Credential = Readonly<Record<string, Secret>>

/** A zod error as field faults below one field of the input. */
export function faultsBelow(base: string, error: z.ZodError | undefined): FieldFault[] {
  return (error?.issues ?? []).slice(0, 20).map((issue) => ({
    field: [base, ...issue.path.map(String)].join('/'),
    rule: issue.message.slice(0, 300),
  }))
}
