import {
  type Action,
  type Context,
  type Door,
  handlerOf,
  type OpenConnection,
  type Principal,
  type Resource,
} from '../core/action.ts'
import { type FieldFault, Problem, toProblem } from '../core/problem.ts'
import type { AuditEvent } from '../features/audit/event.ts'
import type { LimitState } from '../features/limits/limiter.ts'
import type { Decision } from '../features/policy/decide.ts'
import type { Catalog } from './catalog.ts'

/** One call as a door hands it over: already authenticated, not yet parsed. */
export type Call = {
  readonly door: Door
  readonly principal: Principal
  readonly requestId: string
  readonly signal: AbortSignal
  /** The approval that the caller names; without it the gate looks for one that fits the exact call. */
  readonly approval?: string
  readonly remoteAddress?: string
  /** Told how much of the limit is left, for the answer's headers. */
  readonly onLimit?: (state: LimitState) => void
}

export type Answer = { readonly output: unknown } | { readonly pending: string }

/** What an approval is bound to. */
type Exact = {
  readonly principal: Principal
  readonly action: string
  readonly resource: Resource
  readonly inputHash: string
  readonly policyVersion: string
  /** What `inputHash` is of. */
  readonly input: unknown
  readonly revision: number | undefined
}

/** `revision` moves with every change of a connection; undefined for what has none. */
export type Resolved = { readonly resource: Resource; readonly revision?: number | undefined }

export type GateParts = {
  readonly catalog: Catalog
  /** Gives a connection's name its id, so that one thing has one name in decisions and in the log. */
  readonly resolve: (resource: Resource) => Promise<Resolved>
  readonly limit: (principal: Principal, action: string) => LimitState
  /** Told of every call of an action, also of those that are refused below. It can neither stop nor slow a call. */
  readonly note: (call: Call, action: string) => void
  readonly decide: (question: {
    principal: Principal
    action: Action
    resource: Resource
    approved: boolean
    door: Door
  }) => Decision
  /** Why the connection takes no changes, whoever asks; undefined when it does. Asked for writing actions on a connection only. */
  readonly whyClosed: (action: Action, resource: Resource) => Promise<string | undefined>
  /** Names the exact call; `revision` is that of the connection that it is about. */
  readonly hashInput: (action: string, input: unknown, revision?: number) => string
  readonly approvals: {
    readonly find: (exact: Exact, id?: string) => Promise<string | undefined>
    readonly request: (exact: Exact) => Promise<string>
    /** Uses the approval up. False when somebody was faster or it no longer fits. */
    readonly redeem: (id: string, exact: Exact) => Promise<boolean>
  }
  /** Throws `conflict` when the connection is not the one of that revision any more. */
  readonly open: (connection: string, call: Call, revision: number | undefined) => Promise<OpenConnection>
  readonly redact: (value: unknown) => unknown
  readonly record: (event: AuditEvent) => Promise<unknown>
  /** Records a call that was refused before it had any effect, or counts it when the caller is refused over and over. */
  readonly recordRefusal: (event: AuditEvent) => Promise<unknown>
  /** Told of faults in our own code; the caller only sees `internal`. */
  readonly onBug: (error: unknown, call: Call, action: string) => void
}

export type Invoke = (call: Call, name: string, rawInput: unknown) => Promise<Answer>

/** The one way to make anything happen. Every door ends here; the steps run in the order they are written. */
export function makeInvoke(parts: GateParts): Invoke {
  const { catalog, limit, hashInput, approvals, redact, record } = parts

  return async function invoke(call, name, rawInput) {
    // An unknown name is the caller's free text, so it stays out of the leaf until an action is found.
    let known: Partial<AuditEvent> = {}
    let began = false
    try {
      const action = find(catalog, name) // 1
      const handler = handlerOf(action)
      known = { action: action.name, access: action.access }
      noteCall(parts, call, action)
      const parsed = parse(action, rawInput) // 2
      const asked = handler.resource(parsed)
      const { resource, revision, missing } = await resolved(parts, asked) // 3
      const input = withId(parsed, asked, resource)
      if (!missing) known = { ...known, resource }

      const state = limit(call.principal, action.name) // 4
      call.onLimit?.(state)
      const question = { principal: call.principal, action, resource, door: call.door }
      const decide = await deciderFor(parts, missing ? undefined : handler, question)
      let decision = decide(false) // 5
      known = { ...known, decision }
      if (decision.effect === 'forbid') throw new Problem('denied', `${action.name}: ${decision.reason}`)
      if (missing) throw missing
      if (decision.effect === 'ask') {
        const inputHash = hashInput(action.name, input, revision)
        known = { ...known, inputHash }
        const exact = {
          principal: call.principal,
          action: action.name,
          resource,
          inputHash,
          policyVersion: decision.version,
          ...{ input, revision },
        }
        const approval = await approvals.find(exact, call.approval)
        if (approval === undefined) {
          const pending = await approvals.request(exact) // 6
          await recordOrStop(record, event(call, 'action.asked', { ...known, approval: pending }))
          return { pending }
        }
        decision = decide(true)
        known = { ...known, decision, approval }
        if (decision.effect !== 'permit') throw new Problem('denied', `${action.name}: ${decision.reason}`)
        if (!(await approvals.redeem(approval, exact)))
          throw new Problem('denied', 'The approval is used up or no longer fits') // 7
      }

      const detail = { ...(call.remoteAddress && { remoteAddress: call.remoteAddress }), input: redact(shown(input)) }
      began = true
      await recordOrStop(record, event(call, 'action.started', { ...known, detail })) // 8
      const output = await carryOut(parts, action, handler, { input, resource, revision }, call) // 9, 10, 11
      await recordOrStop(record, event(call, 'action.succeeded', { ...known, outcome: 'ok' })) // 12
      return { output }
    } catch (error) {
      const problem = shownProblem(error, redact)
      if (problem.type === 'internal') parts.onBug(error, call, name)
      const tooOften = known.decision === undefined ? limitRefusals(parts, call) : undefined
      // When the log itself is the fault there is nothing to record it in; the caller still gets no result.
      if (problem.type !== 'audit-unavailable')
        await recordOrStop(
          // A bug may have struck after something was done, so it is never only counted.
          began || problem.type === 'internal' ? record : parts.recordRefusal,
          event(call, 'action.failed', { ...known, outcome: problem.type, detail: failure(call, name, problem) }),
        )
      throw tooOften ?? problem
    }
  }
}

/** What does not exist is decided on like anything else: who may not know of it gets the same answer either way. */
async function resolved({ resolve }: GateParts, asked: Resource): Promise<Resolved & { missing?: Problem }> {
  try {
    return await resolve(asked)
  } catch (error) {
    if (error instanceof Problem && error.type === 'not-found') return { resource: asked, missing: error }
    throw error
  }
}

/** Watching is never worth a failed call. */
function noteCall({ note, onBug }: GateParts, call: Call, action: Action): void {
  try {
    note(call, action.name)
  } catch (error) {
    onBug(error, call, action.name)
  }
}

type Asked = { principal: Principal; action: Action; resource: Resource; door: Door }

/** Policy decides, unless the connection itself takes no changes: that no rule and no approval opens. */
async function deciderFor(
  { decide, whyClosed }: GateParts,
  handler: ReturnType<typeof handlerOf> | undefined,
  question: Asked,
) {
  const { action, resource } = question
  const changes = action.access === 'write' || action.access === 'destroy'
  const closed = changes && handler?.connectionOf ? await whyClosed(action, resource) : undefined
  return (approved: boolean): Decision => {
    const decision = decide({ ...question, approved })
    if (closed === undefined || decision.effect === 'forbid') return decision
    return { effect: 'forbid', reason: closed, policies: [], version: decision.version }
  }
}

async function carryOut(
  { open, redact }: GateParts,
  action: Action,
  { run, connectionOf }: ReturnType<typeof handlerOf>,
  { input, resource, revision }: Resolved & { input: unknown },
  call: Call,
): Promise<unknown> {
  const { principal, door, requestId, signal, remoteAddress } = call
  let context: Context = { principal, door, requestId, signal, ...(remoteAddress !== undefined && { remoteAddress }) }
  // Exactly the connection that was decided on, whatever its name means and whoever edited it by now.
  if (connectionOf) context = { ...context, connection: await open(resource.id, call, revision) }
  const result = action.output.safeParse(await run(input, context))
  if (!result.success)
    throw new Error(`${action.name} answered something else than it promised`, { cause: result.error })
  // A reveal is asked for by name, decided on by name and recorded; everything else never carries a known secret.
  return action.access === 'reveal' ? result.data : redact(result.data)
}

/** The input with the resource's id in place of the name it was called by: what is approved and run cannot be renamed meanwhile. */
function withId(input: unknown, asked: Resource, resource: Resource): unknown {
  if (asked.type !== resource.type || asked.id === resource.id || typeof input !== 'object') return input
  const named = Object.entries(input ?? {}).filter(([name, value]) => resourceFields.has(name) && value === asked.id)
  return { ...input, ...Object.fromEntries(named.map(([name]) => [name, resource.id])) }
}

/** The input fields that may name a connection. */
const resourceFields = new Set(['connection', 'source'])

/** Refusals before the decision cost the caller, too; the problem when there were too many. */
function limitRefusals({ limit }: GateParts, { principal }: Call): Problem | undefined {
  try {
    limit(principal, 'refused')
    return undefined
  } catch (error) {
    return error instanceof Problem ? error : undefined
  }
}

/** The problem as the caller gets it: known secrets are taken out of its words. */
function shownProblem(error: unknown, redact: GateParts['redact']): Problem {
  const problem = toProblem(error)
  if (problem.detail === undefined && problem.faults === undefined) return problem
  const { type, retryAfterSeconds } = problem
  const { detail, faults } = redact({ detail: problem.detail, faults: problem.faults }) as Pick<
    Problem,
    'detail' | 'faults'
  >
  return new Problem(type, detail, {
    cause: problem.cause,
    ...(faults && { faults }),
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  })
}

function find(catalog: Catalog, name: string): Action {
  const action = catalog.get(name)
  if (!action) throw new Problem('not-found', 'There is no such action')
  return action
}

function parse(action: Action, rawInput: unknown): unknown {
  const result = action.input.safeParse(rawInput)
  if (result.success) return result.data
  const faults: FieldFault[] = result.error.issues.slice(0, 20).map((issue) => ({
    field: `/${issue.path.join('/')}`,
    // Zod quotes unknown keys, which are the caller's own words, but never values.
    rule: issue.message.slice(0, 300),
  }))
  const [first] = faults
  throw new Problem('invalid-input', first ? `${first.field}: ${first.rule}` : undefined, { faults })
}

/** A log that cannot be written stops the call, whatever the reason. */
async function recordOrStop(record: GateParts['record'], entry: AuditEvent): Promise<void> {
  try {
    await record(entry)
  } catch (error) {
    throw new Problem('audit-unavailable', undefined, { cause: error })
  }
}

function event(call: Call, code: AuditEvent['code'], rest: Partial<AuditEvent>): AuditEvent {
  const { id, kind, name, tokenId, onBehalfOf } = call.principal
  return {
    code,
    principal: { id, kind, name, ...(tokenId && { tokenId }), ...(onBehalfOf && { onBehalfOf }) },
    door: call.door,
    requestId: call.requestId,
    ...rest,
  }
}

function failure(call: Call, name: string, problem: Problem): Record<string, unknown> {
  return {
    ...(call.remoteAddress && { remoteAddress: call.remoteAddress }),
    ...(problem.detail !== undefined && { detail: problem.detail }),
    attempted: name.slice(0, 128),
  }
}

/** The input as plain JSON; a `Secret` in it prints as `[secret]`. */
function shown(input: unknown): unknown {
  return JSON.parse(JSON.stringify(input ?? null))
}
