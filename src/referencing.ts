import type { Config } from './config.ts'
import { makeEnvSource } from './features/vault/references/env.ts'
import { makeFileSource } from './features/vault/references/file.ts'
import { makeReferences, type References } from './features/vault/references/resolver.ts'

/** The kinds of places that the configuration allows references to. */
export function openReferences(config: Config, now: () => Date): References {
  const { ATLAS_REFERENCE_ENV: names, ATLAS_REFERENCE_DIR: directory, referenced: values } = config
  return makeReferences({
    now,
    sources: {
      ...(names.length > 0 && { env: makeEnvSource({ names, values }) }),
      ...(directory !== undefined && { file: makeFileSource({ directory }) }),
    },
  })
}
