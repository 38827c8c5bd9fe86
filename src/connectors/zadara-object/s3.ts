import { z } from 'zod'
import type { Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { encode, regionHeader } from './authenticate.ts'
import { BucketList, ObjectList, Policy, Versioning } from './schema.ts'

export type S3 = ReturnType<typeof makeS3>

type ListOptions = {
  readonly prefix?: string
  readonly delimiter?: '/'
  readonly limit: number
  readonly token?: string
}

const versioningXml = (status: 'Enabled' | 'Suspended') =>
  `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>${status}</Status></VersioningConfiguration>`
const locationXml = (region: string) =>
  `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>${region}</LocationConstraint></CreateBucketConfiguration>`

/** The part of S3 that the connector speaks, with buckets in the path. */
export function makeS3(http: Http, region: string) {
  const headers = { [regionHeader]: region }
  const path = (bucket: string) => `/${encode(bucket)}`

  function put(bucket: string, query: Record<string, string>, body: string) {
    const withType = body === '' ? headers : { ...headers, 'content-type': 'application/xml' }
    const exchange = { method: 'PUT', path: path(bucket), query, headers: withType, as: 'text' } as const
    return http.exchange(body === '' ? exchange : { ...exchange, body }, z.unknown())
  }

  return {
    buckets: () => http.exchange({ method: 'GET', path: '/', headers, as: 'xml' }, BucketList),

    async objects(bucket: string, { prefix, delimiter, limit, token }: ListOptions): Promise<ObjectList> {
      const query = {
        'list-type': 2,
        'encoding-type': 'url',
        'max-keys': limit,
        prefix,
        delimiter,
        'continuation-token': token,
      }
      const { body } = await http.exchange({ method: 'GET', path: path(bucket), query, headers, as: 'xml' }, ObjectList)
      if (body.isTruncated && (body.next === undefined || body.next === token))
        throw new Problem(
          'upstream-invalid',
          'The object storage announced another page without saying where it begins',
        )
      return body
    },

    async versioning(bucket: string): Promise<Versioning> {
      const query = { versioning: '' }
      const given = { method: 'GET', path: path(bucket), query, headers, as: 'xml' } as const
      return (await http.exchange(given, Versioning)).body
    },

    setVersioning: (bucket: string, status: 'Enabled' | 'Suspended') =>
      put(bucket, { versioning: '' }, versioningXml(status)),

    /** @throws Problem not-found when the bucket has none */
    async policy(bucket: string): Promise<Policy> {
      const given = { method: 'GET', path: path(bucket), query: { policy: '' }, headers } as const
      return (await http.exchange(given, Policy)).body
    },

    /** @throws Problem not-found */
    headBucket: (bucket: string) => http.exchange({ method: 'HEAD', path: path(bucket), headers }, z.unknown()),

    /** The default region is never named: us-east-1 would be refused as a constraint. */
    createBucket: (bucket: string) =>
      put(bucket, {}, region === 'us-east-1' || region === 'US' ? '' : locationXml(region)),

    async headObject(bucket: string, key: string) {
      const keyPath = key.split('/').map(encode).join('/')
      try {
        return await http.exchange({ method: 'HEAD', path: `${path(bucket)}/${keyPath}`, headers }, z.unknown())
      } catch (error) {
        if (!(error instanceof Problem) || error.type !== 'invalid-input') throw error
        throw new Problem('invalid-input', unsendableKey, { faults: [{ field: '/key', rule: unsendableKey }] })
      }
    },
  }
}

const unsendableKey =
  'This key cannot be asked for: Atlas sends no path with an empty, "." or ".." part, a control character, or such a part hidden in percent signs. objects.objects.list with the key as prefix shows its size and time.'
