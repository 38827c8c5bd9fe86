import { readFileSync } from 'node:fs'
import type { Action, Door, Principal, Resource } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import type { Database } from '../../lib/db/database.ts'
import { type Decision, makeDecide, type Question, rolesOn } from './decide.ts'
import { hashOf, makePolicySet, type Policy, PolicyFault, type PolicySet } from './policy-set.ts'
import { loadNewest, type PolicyVersion } from './store.ts'

/** The policies that come with Atlas, as Cedar text. */
export const shippedPolicies = readFileSync(new URL('./shipped.cedar', import.meta.url), 'utf8')

/** A decision with what a person needs to understand it. */
export type Explanation = Decision & { readonly deciding: readonly Policy[]; readonly roles: readonly string[] }

type Parts = {
  readonly database: Database
  readonly now: () => Date
  /** Told why a decision failed; the caller only sees `policy error`. */
  readonly onFault?: (error: unknown) => void
  /** Only tests have another set to ship. */
  readonly shipped?: string
}

type Loaded = {
  readonly stored: PolicyVersion
  readonly policySet: PolicySet
  readonly decide: (question: Question) => Decision
  readonly actions: ReadonlyMap<string, Action>
}

/** The policy room. Until `load` has succeeded every decision is a forbid. */
export function makePolicy({ database, now, onFault, shipped = shippedPolicies }: Parts) {
  let loaded: Loaded | undefined

  /** Reads the stored policies and fits them to the whole catalog. Throws `PolicyFault`: Atlas must not start then. */
  async function load(actions: readonly Action[]): Promise<void> {
    const shippedSet = makePolicySet(shipped, actions)
    const stored = await loadNewest(database, shipped, now)
    // Preparing takes some 40 ms of the start, so the usual case does it once.
    const policySet = stored.hash === hashOf(shipped) && stored.text === shipped ? shippedSet : fit(stored, actions)
    const decide = makeDecide({ policySet, ...(onFault && { onFault }) })
    loaded = { stored, policySet, decide, actions: new Map(actions.map((action) => [action.name, action])) }
  }

  function mustBeLoaded(): Loaded {
    if (!loaded) throw new Error('The policies are not loaded')
    return loaded
  }

  return {
    load,

    /** Never throws; without loaded policies it forbids. */
    decide(question: Question): Decision {
      if (loaded) return loaded.decide(question)
      return { effect: 'forbid', reason: 'policy error', policies: [], version: 'none' }
    },

    /** The decision on a call without an approval, and the rules and roles behind it. An unknown action is `not-found`. */
    explain(question: { principal: Principal; action: string; resource?: Resource; door: Door }): Explanation {
      const { actions, decide, policySet } = mustBeLoaded()
      const action = actions.get(question.action)
      if (!action) throw new Problem('not-found', 'There is no such action')
      const resource = question.resource ?? { type: 'any', id: '*' }
      const decision = decide({ ...question, action, resource, approved: false })
      const deciding = decision.policies
        .map((id) => policySet.policies.get(id))
        .filter((policy) => policy !== undefined)
      return { ...decision, deciding, roles: rolesOn(question.principal, resource) }
    },

    /** The version in force and its rules, in the order of the text. */
    list(): { stored: PolicyVersion; version: string; policies: readonly Policy[] } {
      const { stored, policySet } = mustBeLoaded()
      return { stored, version: policySet.version, policies: [...policySet.policies.values()] }
    },
  }
}

function fit({ id, text, hash }: PolicyVersion, actions: readonly Action[]): PolicySet {
  try {
    if (hashOf(text) !== hash) throw new PolicyFault('It is damaged')
    return makePolicySet(text, actions)
  } catch (error) {
    if (!(error instanceof PolicyFault)) throw error
    throw new PolicyFault(`The stored policies, version ${id}: ${error.message}`)
  }
}
