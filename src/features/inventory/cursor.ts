import { hash } from 'node:crypto'
import { z } from 'zod'
import { Problem } from '../../core/problem.ts'

/** Where a page ended: the tier (always 0 unless sorted by relevance) and the keys of its last asset. */
export type Position = { readonly tier: number; readonly key: string; readonly seq: number }

const form = z.strictObject({
  question: z.string(),
  tier: z.int().min(0).max(4),
  key: z.string(),
  seq: z.int().min(0),
  check: z.string(),
})

/** A short name for everything that decides which assets are found and in which order, except the page size. */
export function questionOf(parts: unknown): string {
  return hash('sha256', JSON.stringify(parts), 'base64url').slice(0, 16)
}

/** Base64url of JSON with a checksum. It grants nothing, so the checksum only keeps a changed cursor from being misread. */
export function encodeCursor(question: string, { tier, key, seq }: Position): string {
  const position = { question, tier, key, seq }
  return Buffer.from(JSON.stringify({ ...position, check: checksum(position) })).toString('base64url')
}

/** @throws Problem invalid-input when the cursor was changed or belongs to another query. */
export function decodeCursor(question: string, cursor: string): Position {
  const parsed = form.safeParse(parseJson(Buffer.from(cursor, 'base64url').toString()))
  if (!parsed.success) throw refused('is not one that this server gave')
  const { check, ...position } = parsed.data
  if (check !== checksum(position)) throw refused('is not one that this server gave')
  if (position.question !== question) throw refused('belongs to another query')
  return position
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function checksum({ question, tier, key, seq }: Position & { question: string }): string {
  return hash('sha256', JSON.stringify(['atlas/inventory/cursor', question, tier, key, seq]), 'base64url').slice(0, 12)
}

function refused(rule: string): Problem {
  return new Problem('invalid-input', `The cursor ${rule}`, { faults: [{ field: '/cursor', rule }] })
}
