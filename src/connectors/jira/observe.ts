import type { Observation } from '../../core/connector.ts'
import type { Issue } from './schema.ts'

export function observeIssue({ id, key, fields }: Issue, url: string): Observation {
  const { summary, status, project, parent } = fields
  const createdAt = isoTime(fields.created)
  return {
    kind: 'issue',
    externalId: id,
    name: `${key} ${summary ?? ''}`.trim(),
    ...(status && { status: status.name.toLowerCase() }),
    url: issueUrl(url, key),
    attributes: present({
      key,
      project: project.key,
      type: fields.issuetype?.name,
      priority: fields.priority?.name,
      statusCategory: status?.statusCategory?.key,
      assignee: fields.assignee?.displayName,
      reporter: fields.reporter?.displayName,
      labels: fields.labels ?? [],
      createdAt,
      updatedAt: isoTime(fields.updated),
      resolvedAt: isoTime(fields.resolutiondate),
      dueDate: fields.duedate,
    }),
    ...(parent && { relations: [{ type: 'part-of', kind: 'issue', externalId: parent.id }] }),
    ...(createdAt !== undefined && { facts: { openedAt: createdAt } }),
  }
}

export function issueUrl(url: string, key: string): string {
  return `${url.replace(/\/+$/, '')}/browse/${key}`
}

/** Jira writes `2026-11-20T08:14:01.004+0100`; this is ISO 8601 in UTC. */
export function isoTime(text: string | null | undefined): string | undefined {
  const at = new Date((text ?? '').replace(/([+-]\d\d)(\d\d)$/, '$1:$2'))
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString()
}

type Value = string | readonly string[] | null | undefined

function present(attributes: Readonly<Record<string, Value>>): Record<string, string | readonly string[]> {
  return Object.fromEntries(
    Object.entries(attributes).flatMap(([name, value]) => (value == null ? [] : [[name, value]])),
  )
}
