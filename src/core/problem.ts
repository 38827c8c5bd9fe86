/** The closed list of ways a call can fail (RFC 9457 `type` values). docs/problems.md explains each; test/parity.test.ts compares. */
export const problems = {
  'invalid-input': { status: 400, title: 'The input does not match the schema' },
  unauthenticated: { status: 401, title: 'Sign in, or send a valid token' },
  denied: { status: 403, title: 'Policy does not permit this' },
  'not-found': { status: 404, title: 'No such thing, or not visible to you' },
  'method-not-allowed': { status: 405, title: 'This path does not answer that method' },
  'not-acceptable': { status: 406, title: 'None of the accepted content types can be served' },
  conflict: { status: 409, title: 'The current state does not allow this' },
  gone: { status: 410, title: 'It was here, and is no longer kept' },
  'precondition-failed': { status: 412, title: 'The thing changed since it was read' },
  'too-large': { status: 413, title: 'The request is larger than the limit' },
  'unsupported-media-type': { status: 415, title: 'This route accepts another content type' },
  'misdirected-request': { status: 421, title: 'This server does not answer for that host name' },
  'rate-limited': { status: 429, title: 'Too many requests' },
  internal: { status: 500, title: 'Internal error' },
  integrity: { status: 500, title: 'A stored secret is damaged or was moved' },
  'upstream-failed': { status: 502, title: 'The connected system failed' },
  'upstream-unreachable': { status: 502, title: 'The connected system cannot be reached' },
  'upstream-untrusted': { status: 502, title: "The connected system's certificate is not trusted" },
  'upstream-denied': { status: 502, title: 'The connected system refused the credential or lacks a permission' },
  'upstream-invalid': { status: 502, title: 'The connected system sent something that is not its API' },
  'upstream-busy': { status: 503, title: 'The connected system is busy' },
  'upstream-timeout': { status: 504, title: 'The connected system took too long' },
  'secret-unavailable': { status: 502, title: 'A secret cannot be read from where it is kept' },
  cancelled: { status: 409, title: 'The call was cancelled' },
  'audit-unavailable': { status: 503, title: 'The audit log cannot record this, so it was not done' },
  sealed: { status: 503, title: 'The vault is sealed' },
} as const

export type ProblemType = keyof typeof problems

/** What was wrong with one field of the input: a JSON pointer and the rule that it broke. Never the value. */
export type FieldFault = { readonly field: string; readonly rule: string }

type Extra = ErrorOptions & { readonly faults?: readonly FieldFault[]; readonly retryAfterSeconds?: number }

/** An expected failure, safe to show. `detail` says what happened to what; never a stack, SQL, path, host or secret. */
export class Problem extends Error {
  readonly type: ProblemType
  readonly detail: string | undefined
  readonly faults: readonly FieldFault[] | undefined
  readonly retryAfterSeconds: number | undefined
  constructor(type: ProblemType, detail?: string, { faults, retryAfterSeconds, ...options }: Extra = {}) {
    super(detail ?? problems[type].title, options)
    this.name = 'Problem'
    this.type = type
    this.detail = detail
    this.faults = faults
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** Anything that is not a `Problem` is a bug: the caller sees `internal`, the log gets the cause. */
export function toProblem(error: unknown): Problem {
  return error instanceof Problem ? error : new Problem('internal', undefined, { cause: error })
}

/** The `application/problem+json` body (RFC 9457 §3). `type` is a path that the server answers with the explanation. */
export function problemJson(problem: Problem, requestId?: string) {
  const { status, title } = problems[problem.type]
  return {
    type: `/docs/problems#${problem.type}`,
    title,
    status,
    ...(problem.detail !== undefined && { detail: problem.detail }),
    ...(problem.faults && { errors: problem.faults }),
    ...(problem.retryAfterSeconds !== undefined && { retryAfterSeconds: problem.retryAfterSeconds }),
    ...(requestId !== undefined && { requestId }),
  }
}
