import { problems } from '../../core/problem.ts'

export const faultSchema = {
  type: 'object',
  properties: {
    field: { type: 'string', description: 'JSON pointer to the field.' },
    rule: { type: 'string', description: 'The rule that it broke.' },
  },
  required: ['field', 'rule'],
}

/** RFC 9457, with our closed list of types. */
export const problemSchema = {
  type: 'object',
  properties: {
    type: { type: 'string', enum: Object.keys(problems).map((type) => `/docs/problems#${type}`) },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    errors: { type: 'array', items: { $ref: '#/components/schemas/FieldFault' } },
    retryAfterSeconds: { type: 'number' },
    requestId: {
      type: 'string',
      description: 'Quote it when you ask for help; the log and the audit events carry it too.',
    },
  },
  required: ['type', 'title', 'status'],
}

export const pendingSchema = {
  type: 'object',
  properties: {
    pending: { type: 'string', description: 'Id of the approval to wait for.' },
    detail: { type: 'string' },
  },
  required: ['pending', 'detail'],
}

/** draft-ietf-httpapi-ratelimit-headers-11. */
export const rateHeaders = {
  RateLimit: {
    description: 'What is left of the limit, and the seconds until it is full again.',
    schema: { type: 'string' },
  },
  'RateLimit-Policy': { description: 'The limit and its window in seconds.', schema: { type: 'string' } },
}
