import type { Resource } from '../core/action.ts'
import { Problem } from '../core/problem.ts'
import type { Call, GateParts } from './invoke.ts'

/**
 * Steps 4 and 5 alone, for the few reads that must not write to what they read: the log's own checkpoint and tiles.
 * A reader that made an entry with each read could never catch up with the log.
 */
export function makeCheck({ catalog, limit, decide }: Pick<GateParts, 'catalog' | 'limit' | 'decide'>) {
  return function check(call: Call, name: string, resource: Resource): void {
    const action = catalog.get(name)
    if (!action) throw new Problem('not-found', 'There is no such action')
    const state = limit(call.principal, action.name)
    call.onLimit?.(state)
    const { effect, reason } = decide({ principal: call.principal, action, resource, approved: false, door: call.door })
    if (effect !== 'permit') throw new Problem('denied', `${name}: ${reason}`)
  }
}
