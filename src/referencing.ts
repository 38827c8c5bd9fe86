import { readFileSync } from 'node:fs'
import type { Config } from './config.ts'
import { Secret } from './core/secret.ts'
import { makeAwsSource } from './features/vault/references/aws-secrets.ts'
import { makeEnvSource } from './features/vault/references/env.ts'
import { makeFileSource } from './features/vault/references/file.ts'
import { makeOpenBaoSource } from './features/vault/references/openbao.ts'
import { makeReferences, type References } from './features/vault/references/resolver.ts'
import { Unreadable } from './features/vault/references/source.ts'
import { makeOutbound } from './lib/outbound.ts'

/** The kinds of places that the configuration allows references to. */
export function openReferences(config: Config, now: () => Date): References {
  const { ATLAS_REFERENCE_ENV: names, ATLAS_REFERENCE_DIR: directory, referenced: values } = config
  const [vault, awssm] = [vaultSource(config, now), awsSource(config, now)]
  return makeReferences({
    now,
    sources: {
      ...(names.length > 0 && { env: makeEnvSource({ names, values }) }),
      ...(directory !== undefined && { file: makeFileSource({ directory }) }),
      ...(vault && { vault }),
      ...(awssm && { awssm }),
    },
  })
}

function vaultSource(config: Config, now: () => Date) {
  const url = config.ATLAS_REFERENCE_VAULT_URL
  const token = current(config, 'ATLAS_REFERENCE_VAULT_TOKEN')
  if (url === undefined || !token) return undefined
  return makeOpenBaoSource({
    send: makeOutbound({ ca: config.ATLAS_REFERENCE_VAULT_CA }),
    url,
    token,
    namespace: config.ATLAS_REFERENCE_VAULT_NAMESPACE,
    kv: config.ATLAS_REFERENCE_VAULT_KV,
    leases: config.ATLAS_REFERENCE_VAULT_LEASES,
    now,
  })
}

function awsSource(config: Config, now: () => Date) {
  const { ATLAS_REFERENCE_AWS_REGION: region, ATLAS_REFERENCE_AWS_ACCESS_KEY_ID: accessKeyId } = config
  const secretAccessKey = current(config, 'ATLAS_REFERENCE_AWS_SECRET_ACCESS_KEY')
  const sessionToken = current(config, 'ATLAS_REFERENCE_AWS_SESSION_TOKEN')
  if (region === undefined || accessKeyId === undefined || !secretAccessKey) return undefined
  return makeAwsSource({
    send: makeOutbound({ ca: config.ATLAS_REFERENCE_AWS_CA }),
    keys: () => ({ accessKeyId, secretAccessKey: secretAccessKey(), sessionToken: sessionToken?.() }),
    region,
    endpoint: config.ATLAS_REFERENCE_AWS_ENDPOINT,
    names: config.ATLAS_REFERENCE_AWS_NAMES,
    now,
  })
}

type SecretName =
  | 'ATLAS_REFERENCE_VAULT_TOKEN'
  | 'ATLAS_REFERENCE_AWS_SECRET_ACCESS_KEY'
  | 'ATLAS_REFERENCE_AWS_SESSION_TOKEN'

/** A secret of the configuration as it is now: one that came from a file is read there anew, since agents and people renew such files. */
function current(config: Config, name: SecretName): (() => Secret) | undefined {
  const { [name]: first, valueFiles } = config
  const file = valueFiles[name]
  if (!first) return undefined
  return () => (file === undefined ? first : readAgain(name, file))
}

function readAgain(name: SecretName, file: string): Secret {
  try {
    return new Secret(readFileSync(file, 'utf8').replace(/\r?\n$/, ''))
  } catch (cause) {
    throw new Unreadable(`the file in ${name}_FILE cannot be read`, { cause })
  }
}
