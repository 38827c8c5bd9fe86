import { Problem } from '../../core/problem.ts'
import type { VaultStore } from './store.ts'

/** The problem of a secret that was not found among the living: destroyed, or never there. */
export async function whyNotLiving(store: Pick<VaultStore, 'secret'>, id: string): Promise<Problem> {
  return (await store.secret(id))
    ? new Problem('conflict', 'The secret is destroyed')
    : new Problem('not-found', 'There is no such secret')
}
