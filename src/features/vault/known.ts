import { hash } from 'node:crypto'
import type { Secret } from '../../core/secret.ts'
import { isId } from '../../lib/ids.ts'
import { makeRedactor } from '../../lib/redact.ts'
import type { Scheme } from './references/reference.ts'
import type { SecretRow } from './store.ts'

/** User names are credential fields too, but they stand in every inventory; blanking them would hide owners, not secrets. */
const notRedacted = new Set(['username'])

/** Kinds whose values are not changed now and then. */
export const unrotatedKinds: readonly string[] = [...notRedacted]

/** Whether a value of this kind is to be changed now and then. */
export function isRotated(kind: string): boolean {
  return !notRedacted.has(kind)
}

export type Known = ReturnType<typeof makeKnown>

/** The values that this process has stored or opened, to be kept out of what it says. */
export function makeKnown() {
  const redactor = makeRedactor()
  return {
    learn: ({ id, kind }: SecretRow, version: number, value: Secret, scheme: Scheme | null): void => {
      const text = value.reveal()
      if (notRedacted.has(kind) || isWord(text)) return
      // A value that is kept elsewhere changes without a new version, and the one before stays hidden.
      redactor.add(scheme === null ? `${id}/${version}` : `${id}/${version}/${hash('sha256', text)}`, text)
    },
    /** A value that is not stored here, such as a session's token; the same name replaces the last one. */
    hide: (name: string, value: Secret): void => {
      redactor.forget(`session/${name}`)
      const text = value.reveal()
      // Short ones are no secrets, and blanking them would blank words.
      if (text.length >= 12 && !isWord(text)) redactor.add(`session/${name}`, text)
    },
    /** Destroyed values are not searched for any more. */
    forget: (id: string): void => redactor.forget(`${id}/`),
    redact: redactor.redact,
  }
}

/**
 * One plain word, a name of the form `area.noun.verb`, or an id of ours. Were they searched for, whoever may store a secret
 * could blank the names of actions and fields, and who did what to what, in everything that auditors and reviewers read.
 */
function isWord(text: string): boolean {
  return /^[a-z]{1,16}$/i.test(text) || /^[a-z]+(\.[a-z][a-z-]*){1,2}$/.test(text) || isId(text)
}
