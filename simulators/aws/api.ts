import { randomUUID } from 'node:crypto'
import { json, type Reply, type SimRequest } from '../lib/server.ts'
import { type Identity, verify } from './sigv4.ts'

/** One operation of a service, once the signature is right. Throws `Fault` for an error in the service's words. */
export type Operation = (input: Readonly<Record<string, unknown>>, identity: Identity) => object

/** A service that speaks JSON 1.1: `X-Amz-Target: <prefix>.<Operation>`. Each is one file. */
export type JsonService = {
  /** As it stands in the signature's scope and in permissions: `kms`. */
  readonly name: string
  readonly prefix: string
  readonly operations: Readonly<Record<string, Operation>>
}

/** An error of a service. `field` is how it writes its text: most say `message`, some `Message`. */
export class Fault extends Error {
  readonly type: string
  readonly status: number
  readonly field: 'message' | 'Message'
  constructor(type: string, message: string, { status = 400, field = 'message' as 'message' | 'Message' } = {}) {
    super(message)
    this.type = type
    this.status = status
    this.field = field
  }
}

type Parts = {
  readonly services: readonly JsonService[]
  readonly identities: readonly Identity[]
  readonly region: string
  readonly account: string
  readonly now: () => Date
}

/** The JSON 1.1 protocol: target, signature, permission, operation; errors with `__type`. */
export function makeApi({ services, identities, region, account, now }: Parts): (request: SimRequest) => Reply {
  return (request) => {
    const target = String(request.headers['x-amz-target'] ?? '')
    const [prefix, name = ''] = target.split('.')
    const service = services.find((one) => one.prefix === prefix)
    const operation = service && Object.hasOwn(service.operations, name) ? service.operations[name] : undefined
    if (!service || !operation || request.method !== 'POST') return reply(400, { __type: 'UnknownOperationException' })
    const signed = verify(request, { identities, region, service: service.name, now })
    if ('type' in signed) return reply(signed.status, { __type: signed.type, message: signed.message })
    if (request.fault === 'throttled') return reply(400, { __type: 'ThrottlingException', message: 'Rate exceeded' })
    const permission = `${service.name}:${name}`
    if (!signed.allowed.includes(permission) && !signed.allowed.includes(`${service.name}:*`)) {
      const who = `arn:aws:iam::${account}:user/${signed.name}`
      return reply(400, {
        __type: 'AccessDeniedException',
        Message: `User: ${who} is not authorized to perform: ${permission} because no identity-based policy allows the ${permission} action`,
      })
    }
    try {
      const input: unknown = JSON.parse(request.body === '' ? '{}' : request.body)
      return reply(200, operation(input as Record<string, unknown>, signed))
    } catch (error) {
      if (error instanceof SyntaxError) return reply(400, { __type: 'SerializationException' })
      if (!(error instanceof Fault)) throw error
      return reply(error.status, { __type: error.type, ...(error.message !== '' && { [error.field]: error.message }) })
    }
  }
}

function reply(status: number, value: object): Reply {
  return json(status, value, { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-requestid': randomUUID() })
}
