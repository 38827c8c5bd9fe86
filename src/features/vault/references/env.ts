import type { Secret } from '../../../core/secret.ts'
import type { ReferenceOf } from './reference.ts'
import { type Source, toValue, Unreadable } from './source.ts'

type Parts = {
  /** The names in ATLAS_REFERENCE_ENV. */
  readonly names: readonly string[]
  /** Their values, as they were read at the start; a name is missing when it was not set. */
  readonly values: Readonly<Record<string, Secret>>
}

/** `env://NAME`: variables that were allowed by their exact names. */
export function makeEnvSource({ names, values }: Parts): Source<ReferenceOf<'env'>> {
  return {
    refusal: ({ name }) =>
      names.includes(name) ? undefined : 'the variable is not among those in ATLAS_REFERENCE_ENV',
    documentOf: ({ name }) => name,
    async fetch({ name }) {
      const value = Object.hasOwn(values, name) ? values[name] : undefined
      if (!value) throw new Unreadable('the variable was not set when Atlas was started')
      const read = toValue(value.reveal())
      return { valueOf: () => read }
    },
  }
}
