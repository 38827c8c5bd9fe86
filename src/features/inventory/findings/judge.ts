import { hash } from 'node:crypto'
import type { MachineView } from '../machines/view.ts'
import type { Plan, Planned } from './plan.ts'
import { type Evidence, type Severity, severities, type Thing, type Witness } from './rule.ts'
import { look } from './seen.ts'

/** A machine, an asset or a connection that rules judge. Its id is the key of its findings: one of each rule. */
export type Target = {
  readonly key: string
  readonly name: string
  readonly site: string | null
  readonly machine: string | null
  readonly asset: string | null
  readonly connection: string | null
  /** Undefined: the rule does not judge this kind of thing. */
  readonly judge: (planned: Planned) => Verdict | undefined
}

type Verdict = { readonly found: boolean | Severity; readonly evidence: () => readonly Evidence[] }

/** What one rule finds on one target now. */
export type Candidate = {
  readonly rule: string
  readonly target: Target
  readonly severity: number
  readonly evidence: readonly Evidence[]
  /** Changes when anything shown does, except when it was said. */
  readonly hash: string
}

export function machineTarget(view: MachineView): Target {
  const seen = look(view)
  return {
    key: view.id,
    name: view.name,
    site: view.site,
    machine: view.id,
    asset: null,
    connection: null,
    judge: ({ rule: { machine }, context }) =>
      machine && { found: machine.finds(seen, context), evidence: () => machine.evidence(seen, context) },
  }
}

/** Stale assets are no targets: what is no longer there has no faults. */
export function thingTarget(asset: Thing): Target {
  return {
    key: asset.id,
    // A snapshot's name tells nothing without its machine.
    name: asset.machine ? `${asset.machine.name}: ${asset.name}` : asset.name,
    site: asset.site,
    machine: asset.machine?.id ?? null,
    asset: asset.id,
    connection: asset.connection,
    judge: ({ rule: { thing }, context }) =>
      thing && { found: thing.finds(asset, context), evidence: () => thing.evidence(asset, context) },
  }
}

export function connectionTarget(witness: Witness): Target {
  return {
    key: witness.id,
    name: witness.name,
    site: null,
    machine: null,
    asset: null,
    connection: witness.id,
    judge: ({ rule: { connection }, context }) =>
      connection && {
        found: connection.finds(witness, context),
        evidence: () => connection.evidence(witness, context),
      },
  }
}

export function judgeAll({ judging }: Plan, targets: Iterable<Target>): Candidate[] {
  const found: Candidate[] = []
  for (const target of targets)
    for (const planned of judging) {
      const verdict = target.judge(planned)
      if (verdict?.found) found.push(candidate(planned, target, verdict))
    }
  return found
}

function candidate({ rule }: Planned, target: Target, { found, evidence }: Verdict): Candidate {
  const severity = severities.indexOf(typeof found === 'string' ? found : rule.severity)
  const said = evidence()
  const { name, site, machine } = target
  const shown = [severity, name, site, machine, said.map((one) => [one.subject, one.connection, one.asset, one.says])]
  return {
    rule: rule.id,
    target,
    severity,
    evidence: said,
    hash: hash('sha256', JSON.stringify(shown), 'base64url').slice(0, 22),
  }
}
