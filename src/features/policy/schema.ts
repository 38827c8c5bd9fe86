import type { SchemaJson } from '@cedar-policy/cedar-wasm/nodejs'
import { type Access, accesses } from '../../core/action.ts'

/** What policy needs to know of an action. */
export type PolicyAction = { readonly name: string; readonly access: Access }

/** The rooms whose actions are Atlas's own. An action of any other area belongs to a connector. */
export const ownAreas = [
  'approvals',
  'audit',
  'connections',
  'exports',
  'identity',
  'inventory',
  'policy',
  'system',
  'vault',
] as const

/** The group of every action that a connector brings. It has no dot, so it cannot be an area (`lab.*`) or an action. */
export const connectorGroup = 'connectors'

/**
 * The Cedar schema of the whole catalog, so that a policy with a misspelt action, type or context field stops the start.
 *
 * Principals are `Atlas::User`, `Atlas::Agent` (with `onBehalfOf`, RFC 8693) and `Atlas::System`; the first two are members of
 * the `Atlas::Role`s that count for the request. A resource is `Atlas::Resource::"<type>/<id>"`, a member of
 * `Atlas::ResourceType::"<type>"`: its type is only known from a parsed input, so it is data and not a Cedar type.
 * Each action is a member of its access (`read`) and of its area (`vault.*`), and a connector's also of `connectors`.
 */
export function schemaOf(actions: readonly PolicyAction[]): SchemaJson<string> {
  const areas = new Set<string>([...ownAreas, ...actions.map(({ name }) => areaOf(name))])
  const groups = Object.fromEntries([
    ...accesses.map((access) => [access, {}]),
    [connectorGroup, {}],
    ...[...areas].map((area) => [`${area}.*`, isOwn(area) ? {} : { memberOf: [{ id: connectorGroup }] }]),
  ])
  const single = Object.fromEntries(
    actions.map(({ name, access }) => [
      name,
      { memberOf: [{ id: access }, { id: `${areaOf(name)}.*` }], appliesTo: { ...everything, context } },
    ]),
  )
  return { Atlas: { entityTypes, actions: { ...groups, ...single } } }
}

const entityTypes = {
  Role: {},
  ResourceType: {},
  Resource: { memberOfTypes: ['ResourceType'] },
  User: { memberOfTypes: ['Role'] },
  Agent: {
    memberOfTypes: ['Role'],
    shape: {
      type: 'Record' as const,
      attributes: { onBehalfOf: { type: 'Entity' as const, name: 'User', required: false } },
    },
  },
  System: {},
}

const everything = { principalTypes: ['User', 'Agent', 'System'], resourceTypes: ['Resource'] }

const context = {
  type: 'Record' as const,
  attributes: {
    approval: { type: 'Record' as const, attributes: { granted: { type: 'Boolean' as const } } },
    door: { type: 'String' as const },
  },
}

function areaOf(name: string): string {
  return name.split('.', 1)[0] ?? ''
}

function isOwn(area: string): boolean {
  return (ownAreas as readonly string[]).includes(area)
}
