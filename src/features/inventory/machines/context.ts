import type { NameOf } from './action-parts.ts'
import type { Event, Whole } from './machine.ts'
import type { MachineFinding } from './shapes.ts'
import { addressesOf, backupOf, liveOf, monitoringOf, powerOf, problemsOf } from './summary.ts'

const maxLine = 300

/** A machine in words, for a reader without a table: what it is, where, what is around it, what changed, what is wrong. */
export async function contextText(
  { machine, assets, explanation, neighbours, timeline, mentions }: Whole,
  findings: readonly MachineFinding[],
  nameOf: NameOf,
): Promise<string> {
  const live = liveOf(assets)
  const [power, monitoring, backup] = [powerOf(live), monitoringOf(live), backupOf(live)]
  const systems = await Promise.all(
    assets.map(async ({ connection, kind, name, status, staleAt }) => {
      const state = staleAt === null ? (status ?? 'present') : `gone since ${staleAt}`
      return `${(await nameOf(connection)) ?? connection}: ${kind} ${name}, ${state}`
    }),
  )
  const nameOfAsset = new Map(assets.map(({ id, connector }) => [id, connector]))
  return [
    `${oneLine(machine.name)} (${machine.id})`,
    line('form', machine.form, 'site', machine.site, 'power', power?.power, 'since', power?.since),
    line(
      'addresses',
      addressesOf(live)
        .map(({ address }) => address)
        .join(' '),
    ),
    line('monitored', monitoring === null ? 'no' : monitoring.isMonitored ? 'yes' : 'switched off'),
    line('last backup', backup === null ? 'unknown to the backup systems' : (backup.at ?? 'never')),
    ...section('In the systems', systems),
    ...section(
      'Contradictions',
      explanation.conflicts.map(({ detail }) => detail),
    ),
    ...section(
      'Open problems',
      problemsOf(neighbours).map(
        ({ name, severity, openedAt }) => `${name} (severity ${severity ?? '?'}, ${openedAt})`,
      ),
    ),
    ...section(
      'Findings',
      findings.map(({ severity, title, since }) => `${severity}: ${title} (since ${since})`),
    ),
    ...section(
      'Around it',
      neighbours
        .filter(({ kind }) => kind !== 'problem')
        .map(({ direction, type, kind, name }) =>
          direction === 'out' ? `${type} ${kind} ${name}` : `${kind} ${name} ${type} it`,
        ),
    ),
    ...section(
      'Changes',
      timeline.map((event) => `${event.at} ${nameOfAsset.get(event.asset) ?? ''} ${changeText(event)}`),
    ),
    ...section(
      'Named in',
      [...mentions.tickets, ...mentions.pages].map(({ kind, name, url }) => `${kind} ${name} ${url ?? ''}`.trim()),
    ),
  ]
    .filter((text) => text !== '')
    .join('\n')
}

function changeText({ what, fields }: Event): string {
  if (what !== 'changed') return what
  return Object.entries(fields)
    .map(([field, [from, to]]) => `${field} ${JSON.stringify(from)} → ${JSON.stringify(to)}`)
    .join(', ')
}

/** Names and values in turn; what is empty is left out. */
function line(...parts: readonly (string | null | undefined)[]): string {
  const pairs = Array.from({ length: parts.length / 2 }, (_, at) => [parts[2 * at], parts[2 * at + 1]] as const)
  return pairs.flatMap(([name, value]) => (value ? [`${name} ${oneLine(value)}`] : [])).join(', ')
}

function section(title: string, lines: readonly string[], most = 20): string[] {
  if (lines.length === 0) return []
  const shown = lines.slice(0, most).map((text) => `- ${oneLine(text)}`)
  return [`${title}:`, ...shown, ...(lines.length > most ? [`- and ${lines.length - most} more`] : [])]
}

/** What a system says stays on its line: a name must not look like a section of this text. */
function oneLine(text: string): string {
  const flat = text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
  return flat.length <= maxLine ? flat : `${flat.slice(0, maxLine - 1).toWellFormed()}…`
}
