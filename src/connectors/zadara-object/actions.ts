import { z } from 'zod'
import { type ConnectionContext, connectionAction } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { makeS3 } from './s3.ts'
import { Policy } from './schema.ts'
import type { Config } from './settings.ts'
import { placeholder } from './sync.ts'

/** What an existing bucket may be called; names made elsewhere follow older, looser rules. */
const BucketName = z
  .string()
  .regex(/^(?!.*\.\.)[A-Za-z0-9][\w.-]{1,253}[\w-]$/)
  .describe('The name of the bucket.')
const NewBucketName = z
  .string()
  .regex(/^(?!.*(?:\.\.|\.-|-\.))(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/)
  .describe('3 to 63 lower-case letters, digits, hyphens and dots.')
const wellFormed = (text: string) => text.isWellFormed()
const State = z.enum(['enabled', 'suspended', 'off'])

const s3Of = ({ http, config }: ConnectionContext) => makeS3(http, (config as Config).region)

const listBuckets = connectionAction({
  name: 'objects.buckets.list',
  title: 'List buckets',
  description: 'Asks the object storage itself, now, for its buckets, in the order of their names.',
  access: 'read',
  http: { method: 'GET', path: '/objects/buckets' },
  input: {
    limit: z.coerce.number().int().min(1).max(1000).default(200).describe('How many at most (1 to 1000).'),
    cursor: z.string().max(255).optional().describe('`next` of the previous answer.'),
  },
  output: z.object({
    items: z.array(z.object({ name: z.string(), createdAt: z.string().nullable() })),
    next: z.string().nullable(),
    total: z.int(),
  }),
  async run({ limit, cursor }, context) {
    const { buckets } = (await s3Of(context).buckets()).body
    const after = buckets.filter(({ name }) => cursor === undefined || name > cursor)
    const page = after.sort((a, b) => (a.name < b.name ? -1 : 1)).slice(0, limit)
    return {
      items: page.map(({ name, createdAt }) => ({
        name,
        createdAt: createdAt === placeholder ? null : (createdAt ?? null),
      })),
      next: after.length > limit ? (page.at(-1)?.name ?? null) : null,
      total: buckets.length,
    }
  },
})

const listObjects = connectionAction({
  name: 'objects.objects.list',
  title: 'List objects of a bucket',
  description:
    'Lists objects of one bucket, now, in the order of their keys, all or those whose key begins with a prefix. With `folders`, keys are cut at the next slash and such beginnings come as `folders`.',
  access: 'read',
  http: { method: 'GET', path: '/objects/buckets/{bucket}/objects' },
  input: {
    bucket: BucketName,
    prefix: z.string().max(1024).refine(wellFormed).optional().describe('What the keys begin with.'),
    folders: z.stringbool().or(z.boolean()).default(false).describe('Cut keys at the next slash after the prefix.'),
    limit: z.coerce.number().int().min(1).max(1000).default(100).describe('How many at most (1 to 1000).'),
    cursor: z.string().min(1).max(4096).refine(wellFormed).optional().describe('`next` of the previous answer.'),
  },
  output: z.object({
    items: z.array(
      z.object({
        key: z.string(),
        sizeBytes: z.number(),
        modifiedAt: z.string().nullable(),
        etag: z.string().nullable(),
        storageClass: z.string().nullable(),
      }),
    ),
    folders: z.array(z.string()),
    next: z.string().nullable(),
  }),
  async run({ bucket, prefix, folders, limit, cursor }, context) {
    const page = await s3Of(context).objects(bucket, {
      limit,
      ...(prefix !== undefined && { prefix }),
      ...(folders && { delimiter: '/' }),
      ...(cursor !== undefined && { token: cursor }),
    })
    return {
      items: page.objects.map(({ modifiedAt = null, etag = null, storageClass = null, ...rest }) => ({
        ...rest,
        modifiedAt,
        etag,
        storageClass,
      })),
      folders: page.prefixes,
      next: page.isTruncated ? (page.next ?? null) : null,
    }
  },
})

const statObject = connectionAction({
  name: 'objects.object.stat',
  title: 'Read what an object is',
  description: 'Reads size, type, time and checksum of one object, now. Its content is not read.',
  access: 'read',
  http: { method: 'GET', path: '/objects/buckets/{bucket}/object' },
  input: {
    bucket: BucketName,
    key: z.string().min(1).max(1024).refine(wellFormed).describe("The object's whole key."),
  },
  output: z.object({
    bucket: z.string(),
    key: z.string(),
    sizeBytes: z.number().nullable(),
    contentType: z.string().nullable(),
    modifiedAt: z.string().nullable(),
    etag: z.string().nullable(),
    versionId: z.string().nullable(),
  }),
  async run({ bucket, key }, context) {
    const { headers } = await s3Of(context).headObject(bucket, key)
    const modified = new Date(headers['last-modified'] ?? Number.NaN)
    const size = headers['content-length']
    return {
      bucket,
      key,
      sizeBytes: size !== undefined && /^\d{1,16}$/.test(size) ? Number(size) : null,
      contentType: headers['content-type'] ?? null,
      modifiedAt: Number.isNaN(modified.getTime()) ? null : modified.toISOString(),
      etag: headers['etag']?.replaceAll('"', '') ?? null,
      versionId: headers['x-amz-version-id'] ?? null,
    }
  },
})

const getPolicy = connectionAction({
  name: 'objects.policy.get',
  title: 'Read the policy of a bucket',
  description: 'Reads who may do what with a bucket, as its policy says; null when it has none.',
  access: 'read',
  http: { method: 'GET', path: '/objects/buckets/{bucket}/policy' },
  input: { bucket: BucketName },
  output: z.object({ bucket: z.string(), policy: Policy.nullable() }),
  async run({ bucket }, context) {
    const s3 = s3Of(context)
    try {
      return { bucket, policy: await s3.policy(bucket) }
    } catch (error) {
      if (!(error instanceof Problem) || error.type !== 'not-found') throw error
      // Not found may be the policy or the bucket.
      await s3.headBucket(bucket)
      return { bucket, policy: null }
    }
  },
})

const setVersioning = connectionAction({
  name: 'objects.versioning.set',
  title: 'Switch versioning of a bucket',
  description:
    'Keeps old versions of changed and deleted objects (enabled), or stops keeping new ones (suspended; versions that exist stay). Nothing is written when the bucket is in that state already. It can never be off again.',
  access: 'write',
  http: { method: 'POST', path: '/objects/buckets/{bucket}/versioning' },
  input: { bucket: BucketName, state: z.enum(['enabled', 'suspended']).describe('The new state.') },
  output: z.object({ bucket: z.string(), state: State, previousState: State, changed: z.boolean() }),
  async run({ bucket, state }, context) {
    const s3 = s3Of(context)
    const previousState = await s3.versioning(bucket)
    if (previousState === state) return { bucket, state, previousState, changed: false }
    await s3.setVersioning(bucket, state === 'enabled' ? 'Enabled' : 'Suspended')
    return { bucket, state, previousState, changed: true }
  },
})

const createBucket = connectionAction({
  name: 'objects.bucket.create',
  title: 'Create a bucket',
  description:
    'Creates an empty bucket that only its owner may use. A bucket of that name that is there already is left alone.',
  access: 'write',
  http: { method: 'POST', path: '/objects/buckets' },
  input: { bucket: NewBucketName },
  output: z.object({ bucket: z.string(), created: z.boolean() }),
  async run({ bucket }, context) {
    const s3 = s3Of(context)
    try {
      await s3.headBucket(bucket)
      return { bucket, created: false }
    } catch (error) {
      if (!(error instanceof Problem) || error.type !== 'not-found') throw error
    }
    await s3.createBucket(bucket)
    return { bucket, created: true }
  },
})

export const actions = [listBuckets, listObjects, statObject, getPolicy, setVersioning, createBucket] as const
