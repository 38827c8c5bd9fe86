import { z } from 'zod'
import type { Connector } from '../../core/connector.ts'
import { type FieldFault, Problem } from '../../core/problem.ts'
import { Secret, SecretValue } from '../../core/secret.ts'
import { type Given, ReferenceText, referenceRule } from '../vault/references/reference.ts'
import type { VaultPart } from './parts.ts'

/** One field of a credential in an action's input: its value, or where that is kept. */
export const CredentialValue = z.union([SecretValue, z.strictObject({ reference: ReferenceText })], {
  // The rule of the one that was meant.
  error: ({ input }) => {
    const text = (input as { reference?: unknown } | null)?.reference
    return typeof text === 'string' ? referenceRule(text) : 'must be a text of 1 to 16384 characters, or { reference }'
  },
})

export type Credential = Readonly<Record<string, Given>>

/**
 * What is wrong with the given fields, by the connector's own schema; a reference is read, so that a wrong one is refused at once.
 * `partial`: only the given fields are looked at.
 */
export async function credentialFaults(
  vault: Pick<VaultPart, 'resolve'>,
  connector: Connector,
  given: Credential,
  { partial }: { partial: boolean },
): Promise<FieldFault[]> {
  const unread: FieldFault[] = []
  const plain: Record<string, string | undefined> = {}
  for (const [field, one] of Object.entries(given)) {
    const value = await readGiven(vault, connector, field, one)
    if (value instanceof Secret) plain[field] = value.reveal()
    else unread.push({ field: `/credential/${field}`, rule: value })
  }
  // Rules over several fields cannot be judged when some are not given, or could not be read.
  const isPartial = partial || unread.length > 0
  const schema = isPartial ? z.strictObject(connector.credential.shape).partial() : connector.credential.strict()
  return [...unread, ...faultsBelow('/credential', schema.safeParse(plain).error)]
}

/** The value, or the rule that a reference breaks. */
async function readGiven(
  vault: Pick<VaultPart, 'resolve'>,
  { credential, renews }: Connector,
  field: string,
  given: Given,
): Promise<Secret | string> {
  if (given instanceof Secret) return given
  // What the system does not have is not read for it.
  if (!Object.hasOwn(credential.shape, field)) return 'is no credential field of this kind of system'
  if (renews?.includes(field))
    return 'must be the value itself: the system gives out another at each sign-in, which is stored here'
  try {
    return await vault.resolve(given)
  } catch (error) {
    if (error instanceof Problem && error.type === 'secret-unavailable') return error.message
    throw error
  }
}

/** A zod error as field faults below one field of the input. */
export function faultsBelow(base: string, error: z.ZodError | undefined): FieldFault[] {
  return (error?.issues ?? []).slice(0, 20).map((issue) => ({
    field: [base, ...issue.path.map(String)].join('/'),
    rule: issue.message.slice(0, 300),
  }))
}
