import { type FieldFault, Problem } from '../../core/problem.ts'
import type { HttpCall } from '../../lib/http-client.ts'
import type { CheckOutcome } from './connection.ts'
import { type Credential, credentialFaults } from './credential.ts'
import type { Opener } from './opener.ts'
import type { ConnectionsParts } from './parts.ts'
import { refuse } from './rules.ts'
import type { Stored } from './store.ts'

type Room = {
  readonly find: (idOrName: string) => Promise<Stored>
  readonly opener: Pick<Opener, 'checkStaged' | 'connectorOf'>
}

/**
 * A credential that changes without a gap: the next values are staged beside the current ones, tried, and promoted. Everything
 * signs in with the current ones until then, so both must be good in the system for a while.
 */
export function makeNextCredential({ vault }: ConnectionsParts, { find, opener }: Room) {
  return {
    /** Stages new values of fields that are set. Answers the fields that are staged now. */
    async stage(idOrName: string, credential: Credential): Promise<string[]> {
      const row = await find(idOrName)
      const faults: FieldFault[] = [
        ...(await credentialFaults(vault, opener.connectorOf(row), credential, { partial: true })),
        ...Object.keys(credential)
          .filter((field) => !(field in row.secretIds))
          .map((field) => ({ field: `/credential/${field}`, rule: 'is not set yet; edit the connection instead' })),
      ]
      refuse(faults)
      await vault.stage(Object.entries(credential).map(([field, value]) => ({ id: row.secretIds[field] ?? '', value })))
      return fieldsOf(row)
    },

    /** Signs in once with the staged values, and the current ones of the other fields. */
    async check(idOrName: string, call: HttpCall = {}): Promise<CheckOutcome & { readonly fields: readonly string[] }> {
      const row = await find(idOrName)
      const fields = await mustBeStaged(row)
      return { ...(await opener.checkStaged(row, call)), fields }
    },

    /** Makes the staged values the current ones, after one more check; when that fails, nothing changes. */
    async promote(
      idOrName: string,
      call: HttpCall = {},
    ): Promise<CheckOutcome & { readonly fields: readonly string[] }> {
      const row = await find(idOrName)
      const fields = await mustBeStaged(row)
      const outcome = await opener.checkStaged(row, call)
      if (!outcome.ok)
        throw new Problem(
          'conflict',
          `The staged credential does not work, so nothing was changed: ${outcome.problem?.detail ?? outcome.problem?.title}`,
        )
      await vault.promote(fields.map((field) => row.secretIds[field] ?? ''))
      return { ...outcome, fields }
    },

    /** Destroys the staged values. */
    async discard(idOrName: string): Promise<string[]> {
      const row = await find(idOrName)
      const fields = await mustBeStaged(row)
      await vault.discard(fields.map((field) => row.secretIds[field] ?? ''))
      return fields
    },
  }

  async function fieldsOf(row: Stored): Promise<string[]> {
    const staged = await vault.staged(Object.values(row.secretIds))
    return Object.entries(row.secretIds)
      .filter(([, id]) => staged.includes(id))
      .map(([field]) => field)
      .sort()
  }

  async function mustBeStaged(row: Stored): Promise<string[]> {
    const fields = await fieldsOf(row)
    if (fields.length === 0) throw new Problem('conflict', 'No credential is staged for this connection')
    return fields
  }
}
