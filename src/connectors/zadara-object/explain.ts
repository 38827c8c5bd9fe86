import type { Fault, XmlElement } from '../../core/connector.ts'
import type { ProblemType } from '../../core/problem.ts'

/** S3's `<Error><Code/>…</Error>`, whatever the status. The message is not shown: it may repeat hosts, keys and signatures. */
export function explain(_status: number, body: unknown): Fault | undefined {
  if (!isElement(body) || body.name !== 'Error') return undefined
  const code = textOf(body, 'Code')
  if (code === 'AuthorizationHeaderMalformed') return wrongRegion(textOf(body, 'Region'))
  const [type, detail] = faults.get(code) ?? []
  if (type !== undefined && detail !== undefined) return { type, detail }
  const isName = /^[A-Za-z0-9.]{1,60}$/.test(code)
  return { type: 'upstream-failed', detail: `The object storage failed${isName ? `: ${code}` : ''}.` }
}

function wrongRegion(region: string): Fault {
  const isName = /^[A-Za-z0-9-]{1,63}$/.test(region)
  const expected = isName ? `: it expects ${region}` : ''
  return {
    type: 'upstream-denied',
    detail: `The object storage does not accept the region${expected}. Set it as the connection's region.`,
  }
}

const denied = 'upstream-denied'
const wrongKey =
  "The object storage does not know this access key. Take the S3 keys of the connection's user and set both."
/** A map: the code is the system's own word, which could be the name of something that every object has. */
const faults: ReadonlyMap<string, readonly [ProblemType, string]> = new Map(
  Object.entries({
    InvalidAccessKeyId: [denied, wrongKey],
    SignatureDoesNotMatch: [
      denied,
      'The object storage does not accept the signature: the secret key is wrong, or a proxy on the way changes requests.',
    ],
    AccessDenied: [denied, 'The object storage denies this to the access key.'],
    AllAccessDisabled: [denied, 'The object storage denies this to everyone.'],
    AccountProblem: [denied, 'The object storage reports a problem with the account of this access key.'],
    RequestTimeTooSkewed: [
      denied,
      'The clocks of Atlas and of the object storage differ by more than it allows: correct the one that is wrong.',
    ],
    NoSuchBucket: ['not-found', 'The object storage has no such bucket.'],
    NoSuchKey: ['not-found', 'The bucket has no such object.'],
    NoSuchBucketPolicy: ['not-found', 'The bucket has no policy.'],
    BucketAlreadyExists: ['conflict', 'The bucket name is taken by someone else.'],
    BucketAlreadyOwnedByYou: ['conflict', 'The bucket exists already.'],
    OperationAborted: ['conflict', 'The object storage is still working on an earlier change of this bucket.'],
    InvalidBucketState: ['conflict', 'The state of the bucket does not allow this.'],
    TooManyBuckets: ['conflict', 'The account may have no more buckets.'],
    InvalidBucketName: ['invalid-input', 'The object storage does not take this as the name of a bucket.'],
    InvalidLocationConstraint: ['conflict', "The object storage does not create buckets in the connection's region."],
    KeyTooLongError: ['invalid-input', 'The key is too long.'],
    NotImplemented: ['method-not-allowed', 'The object storage cannot do this.'],
    MethodNotAllowed: ['method-not-allowed', 'The object storage does not allow this here.'],
    SlowDown: ['upstream-busy', 'The object storage asks for fewer requests.'],
    ServiceUnavailable: ['upstream-busy', 'The object storage is not available at the moment.'],
    RequestTimeout: ['upstream-timeout', 'The object storage waited too long for the request.'],
  } satisfies Record<string, readonly [ProblemType, string]>),
)

function textOf(element: XmlElement, name: string): string {
  return element.children.find((child) => child.name === name)?.text ?? ''
}

function isElement(value: unknown): value is XmlElement {
  return typeof value === 'object' && value !== null && 'children' in value && Array.isArray(value.children)
}
