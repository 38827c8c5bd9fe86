import type { Action, Principal, Resource } from '../core/action.ts'
import type { Decision } from '../features/policy/decide.ts'
import type { GateParts } from './invoke.ts'

/** Every action by its name. Two actions with one name, for agents too, or two on one route, stop the start. */
export type Catalog = ReadonlyMap<string, Action>

export function makeCatalog(actions: readonly Action[]): Catalog {
  const catalog = new Map<string, Action>()
  const routes = new Map<string, string>()
  const tools = new Map<string, string>()
  for (const action of actions) {
    const route = `${action.http.method} ${action.http.path.replaceAll(/\{[^}]+\}/g, '{}')}`
    const tool = action.tool ?? action.name
    const other = catalog.has(action.name) ? action.name : (routes.get(route) ?? tools.get(tool))
    if (action.tool !== undefined && !/^[a-z]+(_[a-z]+)+$/.test(action.tool))
      throw new Error(`${action.name} has a tool name that is not of the form noun_verb`)
    if (other !== undefined) throw new Error(`${action.name} (${route}) collides with ${other}`)
    if (!/^[a-z]+(\.[a-z][a-z-]*){2}$/.test(action.name))
      throw new Error(`${action.name} is not of the form area.noun.verb`)
    catalog.set(action.name, action)
    routes.set(route, action.name)
    tools.set(tool, action.name)
  }
  return catalog
}

/**
 * The actions that a principal may call on everything or on something it has a role for; `ask` counts, because it may call
 * and be asked about. The same decision as the call itself, so a list never shows what a call would refuse everywhere.
 */
export function makeVisible({ catalog, decide, isOffered }: Pick<GateParts, 'catalog' | 'decide'> & Offered) {
  const all = [...catalog.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  return function visible(principal: Principal): readonly Action[] {
    // Without a role there is still what everybody may do.
    const scopes = [...new Set(['*', ...principal.bindings.map(({ scope }) => scope)])]
    const resources = scopes.map(resourceOf)
    const permits = (action: Action, resource: { type: string; id: string }): boolean => {
      const { effect }: Decision = decide({ principal, action, resource, approved: false, door: 'mcp' })
      return effect !== 'forbid'
    }
    return all.filter((action) =>
      resources.some((resource) => isOffered(action, resource) && permits(action, resource)),
    )
  }
}

/** False for an action that changes a connected system when no connection (or not this one) takes changes. */
type Offered = { readonly isOffered: (action: Action, resource: Resource) => boolean }

function resourceOf(scope: string): { type: string; id: string } {
  const [type = '*', id = '*'] = scope.split('/')
  return scope === '*' ? { type: 'any', id: '*' } : { type, id }
}
