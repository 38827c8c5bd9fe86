import { z } from 'zod'
import type { XmlElement } from '../../core/connector.ts'

// Only the elements we use. S3's XML has the same shape everywhere; what identifies an object is strict.

const Xml = z.custom<XmlElement>((value) => typeof value === 'object' && value !== null && 'children' in value)

/** The document's element must have this name, so that another answer (html, an error) is never an empty list. */
const document = <T extends z.ZodType>(name: string, read: (root: XmlElement) => unknown, schema: T) =>
  z.preprocess((value) => {
    const root = Xml.safeParse(value).data
    return root?.name === name ? read(root) : undefined
  }, schema)

const textOf = (element: XmlElement | undefined, name: string) => first(element, name)?.text || undefined
const first = (element: XmlElement | undefined, name: string) => element?.children.find((child) => child.name === name)
const all = (element: XmlElement | undefined, name: string) =>
  element?.children.filter((child) => child.name === name) ?? []

const text = z.string().max(2000).optional().catch(undefined)
const time = z
  .string()
  .transform((value) => new Date(value))
  .refine((at) => !Number.isNaN(at.getTime()))
  .transform((at) => at.toISOString())
  .optional()
  .catch(undefined)

export const BucketList = document(
  'ListAllMyBucketsResult',
  (root) => ({
    owner: textOf(first(root, 'Owner'), 'DisplayName') ?? textOf(first(root, 'Owner'), 'ID'),
    buckets: all(first(root, 'Buckets'), 'Bucket').map((bucket) => ({
      name: textOf(bucket, 'Name'),
      createdAt: textOf(bucket, 'CreationDate'),
    })),
  }),
  z.object({ owner: text, buckets: z.array(z.object({ name: z.string().min(1).max(255), createdAt: time })) }),
)
export type Bucket = z.output<typeof BucketList>['buckets'][number]

export const ObjectList = document(
  'ListBucketResult',
  (root) => {
    const isEncoded = textOf(root, 'EncodingType') === 'url'
    return {
      isTruncated: textOf(root, 'IsTruncated'),
      next: textOf(root, 'NextContinuationToken'),
      objects: all(root, 'Contents').map((item) => ({
        key: plain(first(item, 'Key')?.text, isEncoded),
        sizeBytes: textOf(item, 'Size'),
        modifiedAt: textOf(item, 'LastModified'),
        etag: textOf(item, 'ETag')?.replaceAll('"', ''),
        storageClass: textOf(item, 'StorageClass'),
      })),
      prefixes: all(root, 'CommonPrefixes').map((item) => plain(first(item, 'Prefix')?.text, isEncoded)),
    }
  },
  z.object({
    isTruncated: z.enum(['true', 'false']).transform((value) => value === 'true'),
    next: z.string().max(4096).optional(),
    objects: z.array(
      z.object({
        key: z.string().min(1).max(4096),
        sizeBytes: z
          .string()
          .regex(/^\d{1,16}$/)
          .transform(Number),
        modifiedAt: time,
        etag: text,
        storageClass: text,
      }),
    ),
    prefixes: z.array(z.string().max(4096)),
  }),
)
export type ObjectList = z.output<typeof ObjectList>

/** Keys are asked for url-encoded, as XML cannot hold every character that a key can. */
function plain(key: string | undefined, isEncoded: boolean): string | undefined {
  if (key === undefined || !isEncoded) return key
  try {
    return decodeURIComponent(key.replaceAll('+', ' '))
  } catch {
    return key
  }
}

/** Without a status, versioning was never switched on. */
export const Versioning = document(
  'VersioningConfiguration',
  (root) => textOf(root, 'Status')?.toLowerCase() ?? 'off',
  z.enum(['enabled', 'suspended', 'off']),
)
export type Versioning = z.output<typeof Versioning>

export const Policy = z.record(z.string(), z.json())
export type Policy = z.output<typeof Policy>

/** Whether a statement of the policy allows something to everyone, without asking under which conditions. */
export function allowsEveryone(policy: Policy): boolean {
  const statements = [policy['Statement']].flat()
  return statements.some((statement) => {
    if (typeof statement !== 'object' || statement === null || Array.isArray(statement)) return false
    const { Effect: effect, Principal: principal } = statement
    const isEveryone = JSON.stringify(principal)?.includes('"*"') ?? false
    return effect === 'Allow' && isEveryone
  })
}
