import { Secret } from '../../../core/secret.ts'
import type { Reference } from './reference.ts'

/** Why a value cannot be read, as the rest of a sentence after the reference. Never holds the value, an address or a foreign text. */
export class Unreadable extends Error {
  constructor(why: string, options?: ErrorOptions) {
    super(why, options)
    this.name = 'Unreadable'
  }
}

/** What was read together: one variable, one file, one secret with its fields. */
export type Document = {
  /** The value that a reference names in it. @throws Unreadable */
  readonly valueOf: (reference: Reference) => Secret
  /** When the value was made, where the place tells it. ISO form. */
  readonly changedAt?: string | undefined
  /** When it must be read anew at the latest: milliseconds since 1970. */
  readonly goodUntil?: number | undefined
}

/** One kind of place, as the operator allowed it. */
export type Source<R extends Reference> = {
  /** Why a reference may not be read here, naming the setting that allows it; undefined when it may. */
  readonly refusal: (reference: R) => string | undefined
  /** References with the same name are read together. */
  readonly documentOf: (reference: R) => string
  /** Reads it now. @throws Unreadable */
  readonly fetch: (reference: R) => Promise<Document>
  /** Told that what was read may be no good any more: the next `fetch` answers with what is good. @throws Unreadable */
  readonly forget?: (reference: R) => Promise<void>
  /** Keeps alive what must be kept alive, such as tokens. Called every few seconds. */
  readonly tend?: () => Promise<void>
  /** Gives back what was borrowed. */
  readonly close?: () => Promise<void>
}

/** As long as a value that is stored may be. */
const longestValue = 16_384

/** A value as it was read, when it can be one. */
export function toValue(text: unknown): Secret {
  if (typeof text !== 'string') throw new Unreadable('what is there is not text')
  if (text === '') throw new Unreadable('the value is empty')
  if (text.length > longestValue) throw new Unreadable('the value is longer than 16 KiB')
  if (!text.isWellFormed() || text.includes('\uFFFD')) throw new Unreadable('the value is not valid Unicode text')
  return new Secret(text)
}
