import { z } from 'zod'
import { accesses } from '../../core/action.ts'

/** What a token's scopes may say: an exact action, every action of an area, or an access word. */
export const TokenScope = z
  .string()
  .max(120)
  .regex(
    new RegExp(
      String.raw`^(${accesses.join('|')}|(?!(?:${accesses.join('|')})\.)[a-z]+\.\*|[a-z]+(\.[a-z][a-z-]*){2})$`,
    ),
    'must be an action such as inventory.assets.search, an area such as inventory.*, or read, reveal, write, destroy',
  )

/**
 * Whether each of `wanted` is no wider than one of `held`. An action is not looked up under an access word:
 * what cannot be shown to be narrower from the words alone counts as wider.
 */
export function isNarrower(wanted: readonly string[], held: readonly string[]): boolean {
  return wanted.every(
    (scope) => held.includes(scope) || (scope.includes('.') && held.includes(`${scope.split('.')[0]}.*`)),
  )
}
