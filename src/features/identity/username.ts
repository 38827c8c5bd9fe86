import { isId } from '../../lib/ids.ts'

// Names that the product itself uses.
const reserved = new Set(['bootstrap', 'system'])

/**
 * The one stored form of a username: trimmed, NFKC, case folded. Every spelling of a name is the same user, for sign-in,
 * for uniqueness and for throttling (by way of upper case: it folds ß and the final sigma, which lower case alone keeps).
 */
export function foldUsername(text: string): string {
  return text.trim().normalize('NFKC').toLowerCase().toUpperCase().toLowerCase().normalize('NFKC').trim()
}

/** Why a folded username cannot be used for a new user, as a rule for the person; undefined when it can. */
export function usernameFault(folded: string): string | undefined {
  if (!/^[\p{L}\p{N}][\p{L}\p{M}\p{N}._@+-]*$/u.test(folded) || /\p{Default_Ignorable_Code_Point}/u.test(folded))
    return 'must start with a letter or digit and hold only letters, digits and . _ @ + -'
  if ([...folded].length > 64) return 'must be at most 64 characters'
  // A Cyrillic or Greek letter between Latin ones is how one name is made to look like another.
  if (/\p{Script=Latin}/u.test(folded) && /[\p{Script=Cyrillic}\p{Script=Greek}]/u.test(folded))
    return 'must not mix Latin with Cyrillic or Greek letters'
  if (reserved.has(folded) || isId(folded)) return 'is reserved'
  return undefined
}
