import { randomBytes, randomUUID } from 'node:crypto'
import { Fault, type JsonService } from './api.ts'

type Version = { readonly id: string; readonly createdAt: number; readonly text?: string; readonly binary?: string }
type Stored = { readonly arn: string; readonly name: string; versions: Version[]; deletedAt?: number }

/** Secrets Manager: `GetSecretValue` by name or ARN, with the stages AWSCURRENT and AWSPREVIOUS, and the ways a secret is not there. */
export function makeSecretsManager({
  region,
  account,
  now,
}: {
  readonly region: string
  readonly account: string
  readonly now: () => Date
}) {
  const secrets = new Map<string, Stored>()

  function put(name: string, value: { text?: string; binary?: string }): string {
    const id = randomUUID()
    const suffix = randomBytes(3).toString('hex')
    const arn = `arn:aws:secretsmanager:${region}:${account}:secret:${name}-${suffix}`
    const stored: Stored = secrets.get(name) ?? { arn, name, versions: [] }
    stored.versions = [{ id, createdAt: now().getTime() / 1000, ...value }, ...stored.versions].slice(0, 2)
    secrets.set(name, stored)
    return id
  }

  function find(name: unknown): Stored {
    if (typeof name !== 'string' || name === '')
      throw new Fault('InvalidParameterException', 'You must provide a value for the SecretId parameter.', {
        field: 'Message',
      })
    const stored = secrets.get(name) ?? [...secrets.values()].find(({ arn }) => arn === name)
    if (!stored)
      throw new Fault('ResourceNotFoundException', "Secrets Manager can't find the specified secret.", {
        field: 'Message',
      })
    if (stored.deletedAt !== undefined)
      throw new Fault(
        'InvalidRequestException',
        "You can't perform this operation on the secret because it was marked for deletion.",
        { field: 'Message' },
      )
    return stored
  }

  const service: JsonService = {
    name: 'secretsmanager',
    prefix: 'secretsmanager',
    operations: {
      GetSecretValue({ SecretId, VersionStage = 'AWSCURRENT', VersionId }) {
        const { arn, name, versions } = find(SecretId)
        const stages = ['AWSCURRENT', 'AWSPREVIOUS']
        const at =
          VersionId === undefined
            ? stages.indexOf(String(VersionStage))
            : versions.findIndex(({ id }) => id === VersionId)
        const version = versions[at]
        if (!version)
          throw new Fault(
            'ResourceNotFoundException',
            `Secrets Manager can't find the specified secret value for staging label: ${VersionStage}`,
            { field: 'Message' },
          )
        return {
          ARN: arn,
          Name: name,
          VersionId: version.id,
          ...(version.text !== undefined && { SecretString: version.text }),
          ...(version.binary !== undefined && { SecretBinary: version.binary }),
          VersionStages: [stages[at]],
          CreatedDate: version.createdAt,
        }
      },
    },
  }
  return {
    service,
    put,
    /** Marked for deletion: it cannot be read any more. */
    remove(name: string): void {
      const stored = secrets.get(name)
      if (stored) stored.deletedAt = now().getTime()
    },
  }
}
