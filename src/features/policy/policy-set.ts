import { createHash } from 'node:crypto'
import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { z } from 'zod'
import { type PolicyAction, schemaOf } from './schema.ts'

/** One rule, as a person reads it. */
export type Policy = {
  readonly id: string
  readonly description: string
  readonly effect: 'permit' | 'forbid'
  readonly text: string
}

/** A set of policies that fits the catalog, ready to be asked. */
export type PolicySet = {
  /** The first 12 hex digits of the text's SHA-256. */
  readonly version: string
  readonly policies: ReadonlyMap<string, Policy>
  /** Whether any rule looks at which resource it is, beyond its type. */
  readonly readsResource: boolean
  /** Asks Cedar once. Throws when Cedar fails or any rule does: an errored forbid is skipped by Cedar, so it must not count. */
  readonly evaluate: (request: CedarRequest) => { readonly permitted: boolean; readonly policies: readonly string[] }
}

export type CedarRequest = Pick<
  cedar.StatefulAuthorizationCall,
  'principal' | 'action' | 'resource' | 'context' | 'entities'
>

/** The policies do not parse, or do not fit the catalog. The message is for the person who starts Atlas. */
export class PolicyFault extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'PolicyFault'
  }
}

export function versionOf(text: string): string {
  return hashOf(text).slice(0, 12)
}

/** SHA-256 of a policy text, in hex. */
export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/**
 * Parses a policy text and validates it, strictly, against the schema of the catalog.
 * Every policy has its own `@id` and a `@description`; templates are refused. Throws `PolicyFault`.
 */
export function makePolicySet(text: string, actions: readonly PolicyAction[]): PolicySet {
  const parsed = split(text)
  const policies = new Map(parsed.map(({ policy }) => [policy.id, policy]))
  if (policies.size !== parsed.length) throw new PolicyFault('Two policies have the same @id')
  const staticPolicies = Object.fromEntries([...policies].map(([id, policy]) => [id, policy.text]))
  const schema = schemaOf(actions)
  mustFit(cedar.validate({ schema, policies: { staticPolicies }, validationSettings: { mode: 'strict' } }))
  // Cedar keeps what it parsed under a name, per thread; the name is the content, so two sets never share one.
  const name = hashOf(JSON.stringify([text, schema]))
  mustParse(cedar.preparseSchema(name, schema))
  mustParse(cedar.preparsePolicySet(name, { staticPolicies }))
  return {
    version: versionOf(text),
    policies,
    readsResource: parsed.some(({ json }) => readsResource(json)),
    evaluate: (request) => evaluate(name, request),
  }
}

function evaluate(name: string, request: CedarRequest): ReturnType<PolicySet['evaluate']> {
  const answer = cedar.statefulIsAuthorized({
    ...request,
    preparsedSchemaName: name,
    preparsedPolicySetId: name,
    validateRequest: true,
  })
  if (answer.type !== 'success') throw new Error(`Cedar: ${answer.errors.map(({ message }) => message).join('; ')}`)
  const { decision, diagnostics } = answer.response
  const [fault] = diagnostics.errors
  if (fault) throw new Error(`Cedar: policy ${fault.policyId}: ${fault.error.message}`)
  return { permitted: decision === 'allow', policies: [...diagnostics.reason].sort() }
}

const Annotations = z.object({ id: z.string().regex(/^[a-z][a-z0-9-]{0,63}$/), description: z.string().min(1) })

function split(text: string): { policy: Policy; json: cedar.PolicyJson }[] {
  const parts = cedar.policySetTextToParts(text)
  if (parts.type === 'failure') throw new PolicyFault(`The policies cannot be read: ${sentence(parts.errors)}`)
  if (parts.policy_templates.length > 0) throw new PolicyFault('Policy templates are not supported')
  // Cedar answers in the order of its own names (policy0, policy1, policy10 …).
  const inOrder = parts.policies.sort((a, b) => text.indexOf(a) - text.indexOf(b))
  return inOrder.map((policyText) => {
    const answer = cedar.policyToJson(policyText)
    if (answer.type === 'failure') throw new PolicyFault(`A policy cannot be read: ${sentence(answer.errors)}`)
    const { json } = answer
    const annotations = Annotations.safeParse(json.annotations)
    if (!annotations.success)
      throw new PolicyFault(
        `A policy lacks its @id (lower case, digits and hyphens) or its @description: ${policyText.slice(0, 120)}`,
      )
    return { policy: { ...annotations.data, effect: json.effect, text: policyText }, json }
  })
}

function mustFit(answer: cedar.ValidationAnswer): void {
  if (answer.type === 'failure') throw new PolicyFault(`The policies cannot be validated: ${sentence(answer.errors)}`)
  const [first] = answer.validationErrors
  if (!first) return
  const { message, help } = first.error
  const more = answer.validationErrors.length - 1
  throw new PolicyFault(
    `The policies do not fit the actions of this version: ${message}${help ? ` (${help})` : ''}${more > 0 ? `, and ${more} more` : ''}`,
  )
}

function mustParse(answer: cedar.CheckParseAnswer): void {
  if (answer.type === 'failure') throw new PolicyFault(`The policies cannot be read: ${sentence(answer.errors)}`)
}

function sentence(errors: readonly cedar.DetailedError[]): string {
  return errors
    .map(
      ({ message, sourceLocations }) =>
        `${message}${sourceLocations?.[0]?.label ? `, ${sourceLocations[0].label}` : ''}`,
    )
    .join('; ')
}

// Conservative: any mention of the variable counts, and so does a scope that names one resource.
function readsResource({ resource, conditions }: cedar.PolicyJson): boolean {
  return resource.op !== 'All' || JSON.stringify(conditions).includes('{"Var":"resource"}')
}
