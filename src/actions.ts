import { connectors } from './connectors/index.ts'
import type { Action, Context } from './core/action.ts'
import { Problem } from './core/problem.ts'
import { approvalActions } from './features/approvals/actions.ts'
import type { makeApprovals } from './features/approvals/approvals.ts'
import { auditActions } from './features/audit/actions.ts'
import type { AuditLog } from './features/audit/log.ts'
import { backupActions } from './features/backups/actions.ts'
import type { Backups } from './features/backups/backups.ts'
import { connectionActions } from './features/connections/actions.ts'
import type { makeConnections } from './features/connections/connections.ts'
import { exportActions } from './features/exports/actions.ts'
import type { Exports } from './features/exports/exports.ts'
import { identityActions } from './features/identity/actions.ts'
import type { Identity } from './features/identity/identity.ts'
import { inventoryActions } from './features/inventory/actions.ts'
import { briefActions } from './features/inventory/brief.ts'
import { findingActions } from './features/inventory/findings/actions.ts'
import type { Findings } from './features/inventory/findings/findings.ts'
import type { makeInventory } from './features/inventory/inventory.ts'
import { policyActions } from './features/policy/actions.ts'
import type { makePolicy } from './features/policy/policy.ts'
import { usageActions } from './features/usage/actions.ts'
import type { Usage } from './features/usage/usage.ts'
import { vaultActions } from './features/vault/actions.ts'
import type { Rekeyed } from './features/vault/key-actions.ts'
import type { makeVault } from './features/vault/vault.ts'

type Acting = {
  readonly inventory: ReturnType<typeof makeInventory>
  readonly findings: Findings
  readonly connections: ReturnType<typeof makeConnections>
  readonly vault: ReturnType<typeof makeVault>
  readonly rekey: (() => Promise<Rekeyed>) | undefined
  readonly identity: Identity
  readonly usage: Usage
  readonly policy: ReturnType<typeof makePolicy>
  readonly approvals: ReturnType<typeof makeApprovals>
  readonly audit: AuditLog
  readonly exports: Exports
  readonly backups: Backups
}

/** Every action there is, of the rooms and of the connectors. */
export function listActions(rooms: Acting): readonly Action[] {
  const { inventory, findings, connections, vault, rekey, identity, usage, policy, approvals, audit } = rooms
  const { exports, backups } = rooms
  const secrets = vaultActions({ vault, rekey })
  const naming = { connectionName: nameOf(connections), resolveConnection: connections.resolve }
  return [
    ...inventoryActions({ inventory, findingsOf: openFindingsOf(findings), ...naming }),
    ...findingActions({ findings, ...naming }),
    ...briefActions({ inventory, connectionName: nameOf(connections) }),
    ...connectionActions({ connections, mayRefer: makeMayRefer(policy, secrets) }),
    ...secrets,
    ...identityActions(identity),
    ...usageActions(usage),
    ...policyActions({ policy, findPrincipal: identity.findPrincipal }),
    ...approvalActions({ approvals }),
    ...auditActions({ log: { ...audit, forget: makeForgetting(audit, usage, identity) } }),
    ...exportActions({ exports }),
    ...backupActions({ backups }),
    ...connectors.flatMap((connector) => connector.actions),
  ]
}

/** Whoever may store secrets may also say where one is kept. A call that had to be approved was approved as a whole. */
function makeMayRefer(policy: ReturnType<typeof makePolicy>, secrets: readonly Action[]) {
  const put = secrets.find(({ name }) => name === 'vault.secrets.put')
  return ({ principal, door }: Context): void => {
    const resource = { type: 'secret', id: '*' }
    const effect = put && policy.decide({ principal, action: put, resource, approved: true, door }).effect
    if (effect !== 'permit')
      throw new Problem('denied', 'Only whoever may store secrets may give a credential by reference')
  }
}

/**
 * Erases a person where what was done is kept: first the habits, whose departures are events, then the log. Never one who can still sign
 * in: else whoever may erase could make the log forget what they are doing themselves.
 */
function makeForgetting(audit: AuditLog, usage: Usage, { findPrincipal }: Identity): AuditLog['forget'] {
  return async (principal, texts) => {
    if (await findPrincipal(principal))
      throw new Problem('conflict', 'This principal can still sign in. Remove or disable it first, then erase it')
    await usage.forget(principal)
    return audit.forget(principal, texts)
  }
}

/** What is open about one machine, the worst first. */
function openFindingsOf(findings: Findings) {
  return async (machine: string) => {
    const filter = {
      rules: [],
      states: ['open' as const],
      severities: [],
      sites: [],
      machine,
      connection: undefined,
      q: undefined,
    }
    const { items } = await findings.list(filter, { limit: 50, cursor: undefined })
    return items.map(({ id, rule, severity, openedAt }) => ({
      id,
      rule,
      title: findings.ruleOf(rule)?.title ?? rule,
      severity,
      since: openedAt,
    }))
  }
}

/** A connection's name, or undefined when it is gone. */
function nameOf(connections: ReturnType<typeof makeConnections>) {
  return async (id: string): Promise<string | undefined> => {
    try {
      return (await connections.get(id)).name
    } catch (error) {
      if (error instanceof Problem && error.type === 'not-found') return undefined
      throw error
    }
  }
}
