import { z } from 'zod'
import { isId } from '../../lib/ids.ts'

/** An id of one of the given kinds, such as `usr`. */
export function idOf(...kinds: readonly string[]) {
  return z
    .string()
    .max(64)
    .refine(
      (id) => isId(id) && kinds.includes(id.slice(0, 3)),
      `must be an id that starts with ${kinds.join('_ or ')}_`,
    )
}

/** The same two fields on every list of this room. */
export const pageFields = {
  limit: z.coerce.number().int().min(1).max(200).default(100).describe('How many at most (1–200).'),
  cursor: z
    .string()
    .max(64)
    .refine(isId, 'must be the `next` of an answer')
    .optional()
    .describe('Where to go on: the `next` of the answer before.'),
}

/** One line of text for people: no control characters, no invisible ones, so that a name cannot pose as another. */
export const PlainName = z
  .string()
  .trim()
  .min(1)
  .max(100)
  .refine((text) => !/[\p{C}\p{Zl}\p{Zp}]/u.test(text), 'must not hold control or invisible characters')

export const Removed = z.object({ id: z.string() })
