import type { Principal } from '../../core/action.ts'
import { makeDecide } from './decide.ts'
import { shippedPolicies } from './policy.ts'
import { makePolicySet } from './policy-set.ts'
import { principalWith, routeActions } from './routes-for-tests.ts'
import { ownAreas } from './schema.ts'

// Who may do what, as the shipped policies decide it: for the page docs/operate/policy.md and the test that compares it.

const columns = ['', 'viewer', 'developer', 'operator', 'auditor', 'admin']
const letters = { permit: 'p', ask: 'a', forbid: '-' } as const
export const policySet = makePolicySet(shippedPolicies, routeActions)
export const decide = makeDecide({ policySet })
export const resource = { type: 'any', id: '*' }

export function effectsOf(kind: Principal['kind'], action: (typeof routeActions)[number], approved: boolean): string {
  const roleSets = kind === 'system' ? [[]] : columns.map((role) => (role === '' ? [] : [role]))
  return roleSets
    .map((roles) => decide({ principal: principalWith(roles, { kind }), action, resource, approved, door: 'http' }))
    .map(({ effect }) => letters[effect])
    .join('')
}

/** One row for each area and access whose actions agree for every role, else one for each action. */
export function rolesTable(): string {
  const groups = Map.groupBy(routeActions, ({ name, access }) => `${areaOf(name)} ${access}`)
  const rows = [...groups.values()].flatMap((actions) => {
    const byCells = Map.groupBy(actions, cellsOf)
    const [first] = actions
    if (first && byCells.size === 1) return [`| \`${areaOf(first.name)}\` | ${first.access} | ${cellsOf(first)} |`]
    return actions.map((action) => `| \`${action.name}\` | ${action.access} | ${cellsOf(action)} |`)
  })
  const head = ['action', 'access', 'no role', ...columns.slice(1)]
  return [`| ${head.join(' | ')} |`, `|${head.map(() => '---').join('|')}|`, ...rows].join('\n')
}

function cellsOf(action: (typeof routeActions)[number]): string {
  const [users, agents] = [effectsOf('user', action, false), effectsOf('agent', action, false)]
  const words: Record<string, string> = { pp: 'yes', pa: 'yes, an agent asks', 'p-': 'yes, a person only', '--': '–' }
  return columns.map((_role, i) => words[`${users[i]}${agents[i]}`]).join(' | ')
}

function areaOf(name: string): string {
  const area = name.split('.', 1)[0] ?? ''
  return (ownAreas as readonly string[]).includes(area) ? `${area}.*` : '<connector>.*'
}
