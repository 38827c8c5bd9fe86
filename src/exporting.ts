import { join } from 'node:path'
import { connectors } from './connectors/index.ts'
import type { Action, Principal, Resource } from './core/action.ts'
import { assetsDataset } from './dataset-assets.ts'
import { cmdbDataset } from './dataset-cmdb.ts'
import { findingsDataset } from './dataset-findings.ts'
import type { makeApprovals } from './features/approvals/approvals.ts'
import type { makeConnections } from './features/connections/connections.ts'
import { type Exports, makeExports } from './features/exports/exports.ts'
import type { ExportsParts } from './features/exports/parts.ts'
import type { Findings } from './features/inventory/findings/findings.ts'
import type { makeInventory } from './features/inventory/inventory.ts'
import type { makePolicy } from './features/policy/policy.ts'
import type { Invoke } from './gate/invoke.ts'

type Parts = Pick<ExportsParts, 'database' | 'findPrincipal' | 'redact' | 'now' | 'log'> & {
  readonly dataDir: string
  readonly inventory: ReturnType<typeof makeInventory>
  readonly connections: ReturnType<typeof makeConnections>
  readonly policy: Pick<ReturnType<typeof makePolicy>, 'decide'>
  readonly approvals: Pick<ReturnType<typeof makeApprovals>, 'get'>
  readonly findings: Findings
  /** What is only made after the actions of this room are. */
  readonly late: () => { readonly actions: readonly Action[]; readonly invoke: Invoke; readonly system: Principal }
}

/** Exports with the datasets that there are, and a way through the gate for the files of plans. */
export function openExports(parts: Parts): Exports {
  const { dataDir, connections, policy, approvals, late } = parts

  /** The same decision as the call itself. */
  const decide = (principal: Principal, name: string, resource: Resource) => {
    const action = late().actions.find((one) => one.name === name)
    return action && policy.decide({ principal, action, resource, approved: false, door: 'schedule' }).effect
  }

  return makeExports({
    ...parts,
    folder: join(dataDir, 'exports'),
    datasets: datasetsOf(parts),
    may: (principal, name, resource) => decide(principal, name, resource) === 'permit',
    mayAsk: (principal, name, resource) => (decide(principal, name, resource) ?? 'forbid') !== 'forbid',
    publish: {
      actionOf: (name) => published.find((action) => action.name === name),
      resourceOf: async (input) => {
        const { connection } = input as { connection?: unknown }
        if (typeof connection !== 'string') return { type: 'any', id: '*' }
        return { type: 'connection', id: await connections.resolve(connection) }
      },
      system: () => late().system,
      invoke: (call, name, input) => late().invoke(call, name, input),
      approvalState: async (id) => (await approvals.get(late().system, id).catch(() => undefined))?.state,
    },
  })
}

const published = connectors
  .flatMap(({ actions }): readonly Action[] => actions)
  .filter(({ access }) => access === 'write')

function datasetsOf({ inventory, connections, findings }: Parts) {
  const common = {
    inventory,
    resolveConnection: connections.resolve,
    connectionNames: async () => new Map((await connections.list()).map(({ id, name }) => [id, name])),
  }
  const registries = async () => {
    const ids = new Set<string>(connectors.filter(({ subjects }) => isRegistry(subjects)).map(({ id }) => id))
    return (await connections.list()).filter(({ connector }) => ids.has(connector)).map(({ id }) => id)
  }
  return {
    assets: assetsDataset(common),
    cmdb: cmdbDataset({ ...common, registries, machines: () => inventory.machineViews() }),
    findings: findingsDataset({ ...common, findings }),
  }
}

const isRegistry = (subjects: readonly string[]) => subjects.includes('registry')
