import type { Attribute, Cursor, Observation, SyncBatch, SyncContext } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { makeS3, type S3 } from './s3.ts'
import { allowsEveryone, type Bucket } from './schema.ts'
import type { Config } from './settings.ts'

/** S3 has no feed of changes, so every run reads everything: all buckets, and of each as many pages as the settings allow. */
export async function* sync({ http, config }: SyncContext<Config>): AsyncGenerator<SyncBatch, Cursor> {
  const s3 = makeS3(http, config.region)
  const { body } = await s3.buckets()
  const unsupported = new Set<string>()
  for (const bucket of body.buckets) {
    const found = await observeBucket({ s3, config, unsupported, owner: body.owner }, bucket)
    yield { stage: 'buckets', total: body.buckets.length, observations: found ? [found] : [], full: true }
  }
  if (body.buckets.length === 0) yield { stage: 'buckets', total: 0, observations: [], full: true }
  return {}
}

type Reading = {
  readonly s3: S3
  readonly config: Config
  /** What this object storage answered that it cannot do; it is not asked again in this run. */
  readonly unsupported: Set<string>
  readonly owner: string | undefined
}

/** Undefined: it was deleted meanwhile. */
async function observeBucket(reading: Reading, { name, createdAt }: Bucket): Promise<Observation | undefined> {
  const { s3, unsupported } = reading
  const versioning = await ask(unsupported, 'versioning', () => s3.versioning(name))
  if (versioning === 'missing') return undefined
  const policy = await ask(unsupported, 'policy', () => s3.policy(name))
  const size = await ask(unsupported, 'objects', () => measure(reading, name))
  if (size === 'missing') return undefined
  // A bucket that is closed to the key and a key that was revoked meanwhile look the same here; only the second ends the sync.
  if (versioning === 'not readable' || size === 'not readable') await s3.buckets()

  const attributes: Record<string, Attribute | undefined> = {
    owner: reading.owner,
    versioning: typeof versioning === 'string' ? versioning : versioning.value,
    policy: typeof policy === 'string' ? (policy === 'missing' ? 'none' : policy) : 'set',
    allowsEveryone: typeof policy === 'string' ? undefined : allowsEveryone(policy.value),
    ...(typeof size === 'string' ? { isReadable: false } : size.value),
  }
  const known = Object.entries(attributes).filter((entry): entry is [string, Attribute] => entry[1] !== undefined)
  const isReal = createdAt !== undefined && createdAt !== placeholder
  return {
    kind: 'bucket',
    externalId: name,
    name,
    attributes: Object.fromEntries(known),
    ...(isReal && { facts: { createdAt } }),
  }
}

/** OpenStack Swift does not keep when a bucket was made, and says this of each. */
export const placeholder = '2009-02-03T16:45:09.000Z'

/** Adds up pages until the end or the limit. Stops at the limit with `isSizeComplete: false`; nothing when no page is wanted. */
async function measure({ s3, config }: Reading, bucket: string): Promise<Record<string, Attribute>> {
  const { pageSize, maxPagesPerBucket } = config
  if (maxPagesPerBucket === 0) return {}
  const sum = { objectCount: 0, sizeBytes: 0 }
  let token: string | undefined
  for (let page = 0; page < maxPagesPerBucket; page++) {
    const { objects, next, isTruncated } = await s3.objects(bucket, {
      limit: pageSize,
      ...(token !== undefined && { token }),
    })
    sum.objectCount += objects.length
    for (const { sizeBytes } of objects) sum.sizeBytes += sizeBytes
    if (!isTruncated) return { ...sum, isSizeComplete: true }
    token = next
  }
  return { ...sum, isSizeComplete: false }
}

/** What one part of a bucket says, or why it says nothing. A part that is closed to this key does not end the sync. */
async function ask<T>(
  unsupported: Set<string>,
  part: string,
  read: () => Promise<T>,
): Promise<{ readonly value: T } | 'missing' | 'not readable' | 'unsupported'> {
  if (unsupported.has(part)) return 'unsupported'
  try {
    return { value: await read() }
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    if (error.type === 'not-found') return 'missing'
    // A bucket whose name cannot be sent in a path is closed to us too.
    if (error.type === 'upstream-denied' || error.type === 'invalid-input') return 'not readable'
    if (error.type !== 'method-not-allowed') throw error
    unsupported.add(part)
    return 'unsupported'
  }
}
