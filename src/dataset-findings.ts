import type { z } from 'zod'
import type { AssetParts } from './dataset-assets.ts'
import { severityWords } from './dataset-words.ts'
import { type Dataset, defineDataset } from './features/exports/dataset.ts'
import type { Column, Row } from './features/exports/table.ts'
import { listInput } from './features/inventory/findings/actions.ts'
import { findingStates } from './features/inventory/findings/finding.ts'
import type { Findings } from './features/inventory/findings/findings.ts'
import { type Evidence, severities } from './features/inventory/findings/rule.ts'
import { rules } from './features/inventory/findings/rules/index.ts'
import type { FindingView } from './features/inventory/findings/view.ts'

type Parts = Pick<AssetParts, 'resolveConnection' | 'connectionNames'> & {
  readonly findings: Pick<Findings, 'list' | 'ruleOf'>
}

const params = listInput.omit({ limit: true, cursor: true })
type Params = z.output<typeof params>

const columns: readonly Column[] = [
  { key: 'id', title: 'Id', type: 'text', holds: 'name' },
  { key: 'severity', title: 'Severity', type: 'text', holds: 'label', words: severityWords },
  { key: 'rule', title: 'Rule', type: 'text', holds: 'label', words: new Set(rules.map(({ id }) => id)) },
  { key: 'title', title: 'Finding', type: 'text', holds: 'label', words: new Set(rules.map(({ title }) => title)) },
  { key: 'name', title: 'Name', type: 'text', holds: 'name' },
  { key: 'site', title: 'Site', type: 'text', holds: 'name' },
  { key: 'state', title: 'State', type: 'text', holds: 'label', words: new Set(findingStates) },
  { key: 'system', title: 'System', type: 'text', holds: 'name' },
  { key: 'openedAt', title: 'Opened', type: 'time' },
  { key: 'timesOpened', title: 'Times opened', type: 'number' },
  { key: 'lastSeenAt', title: 'Last seen', type: 'time' },
  { key: 'isResting', title: 'Resting', type: 'flag' },
  { key: 'resolvedAt', title: 'Resolved', type: 'time' },
  { key: 'acceptedUntil', title: 'Accepted until', type: 'time' },
  { key: 'reason', title: 'Accepted because', type: 'text', holds: 'free' },
  { key: 'evidence', title: 'Evidence', type: 'text', holds: 'free' },
]

/** Where the connected systems disagree, with the filters of the list. */
export function findingsDataset(parts: Parts): Dataset {
  return defineDataset({
    title: 'Findings',
    describe:
      'Where the connected systems disagree or something is missing, the worst first, with which system says what.',
    params,
    reads: ['inventory.findings.list'],
    sheets: (asked, signal) => [{ name: 'Findings', columns, rows: () => rowsOf(parts, asked, signal) }],
  })
}

async function* rowsOf(parts: Parts, asked: Params, signal: AbortSignal): AsyncGenerator<readonly Row[]> {
  const { findings, resolveConnection, connectionNames } = parts
  const names = await connectionNames()
  const { rule, state, severity, site, machine, connection, q } = asked
  const filter = {
    rules: rule,
    states: state,
    severities: severity.map((one) => severities.indexOf(one)),
    sites: site,
    machine,
    connection: connection === undefined ? undefined : await resolveConnection(connection),
    q,
  }
  for (let cursor: string | undefined; ; ) {
    signal.throwIfAborted()
    const { items, next } = await findings.list(filter, { limit: 200, cursor })
    yield items.map((finding) => rowOf(finding, findings.ruleOf(finding.rule)?.title ?? finding.rule, names))
    if (next === null) return
    cursor = next
  }
}

function rowOf(finding: FindingView, title: string, names: ReadonlyMap<string, string>): Row {
  const { connection, acknowledgement, evidence } = finding
  return [
    finding.id,
    finding.severity,
    finding.rule,
    title,
    finding.name,
    finding.site,
    finding.state,
    connection === null ? null : (names.get(connection) ?? null),
    finding.openedAt,
    finding.timesOpened,
    finding.lastSeenAt,
    finding.isResting,
    finding.resolvedAt,
    acknowledgement?.until ?? null,
    acknowledgement?.reason ?? null,
    evidence.map((one) => said(one, names)).join('\n'),
  ]
}

function said({ subject, connection, name, says }: Evidence, names: ReadonlyMap<string, string>): string {
  const system = (connection === null ? undefined : names.get(connection)) ?? subject
  return `${system}${name === null ? '' : ` (${name})`}: ${says}`
}
