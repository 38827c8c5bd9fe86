import type { z } from 'zod'
import type { Observation } from '../../core/connector.ts'
import type { Content, ReadRestrictions } from './schema.ts'

/** A page, whatever the product and the API it was read from. */
export type WikiPage = {
  readonly id: string
  readonly title: string
  readonly status: string
  readonly space: string
  readonly version: number
  readonly createdAt: string | undefined
  readonly modifiedAt: string | undefined
  readonly author: string | undefined
  readonly editor: string | undefined
  readonly labels: readonly string[]
  /** From the space's home page down to the parent. */
  readonly ancestors: readonly string[]
  /** Whether the page itself is restricted; undefined: not told. Restrictions of its ancestors hold for it as well. */
  readonly isRestricted: boolean | undefined
  readonly webui: string | undefined
  readonly excerpt: string | undefined
}

export function pageOf(content: Content, excerpt?: string | null): WikiPage {
  const { id, title, status, space, version, history, ancestors, metadata, restrictions } = content
  return {
    id,
    title,
    status: status ?? 'current',
    space: space.key,
    version: version.number,
    createdAt: isoTime(history?.createdDate),
    modifiedAt: isoTime(version.when),
    author: history?.createdBy?.displayName ?? undefined,
    editor: version.by?.displayName ?? undefined,
    labels: (metadata?.labels.results ?? []).map(({ name }) => name),
    ancestors: ancestors.map((one) => one.id),
    isRestricted: restrictions ? hasHolders(restrictions.read) : undefined,
    webui: content._links?.webui ?? undefined,
    excerpt: shortened(excerpt),
  }
}

export function hasHolders({ restrictions: { user, group } }: z.output<typeof ReadRestrictions>): boolean {
  return [user, group].some(({ results, size }) => results.length > 0 || (size ?? 0) > 0)
}

export function observePage(page: WikiPage, url: string): Observation {
  const { id, title, status, createdAt, ancestors, excerpt } = page
  const parent = ancestors.at(-1)
  return {
    kind: 'page',
    externalId: id,
    name: title,
    status: status.toLowerCase(),
    url: pageUrl(url, page),
    attributes: {
      space: page.space,
      labels: page.labels,
      version: page.version,
      ...(page.author !== undefined && { author: page.author }),
      ...(page.editor !== undefined && { editor: page.editor }),
      ...(createdAt !== undefined && { createdAt }),
      ...(page.modifiedAt !== undefined && { modifiedAt: page.modifiedAt }),
      ...(excerpt !== undefined && { excerpt }),
    },
    ...(parent !== undefined && { relations: [{ type: 'part-of', kind: 'page', externalId: parent }] }),
    ...(createdAt !== undefined && { facts: { createdAt } }),
  }
}

/** The page for a person. `webui` is a path below the base address; this other form works everywhere. */
export function pageUrl(url: string, { id, webui }: Pick<WikiPage, 'id' | 'webui'>): string {
  const path = webui && /^\/[\x21-\x7e]*$/.test(webui) ? webui : `/pages/viewpage.action?pageId=${id}`
  return `${url.replace(/\/+$/, '')}${path}`
}

/** ISO 8601 in UTC. Some versions write the offset without a colon. */
export function isoTime(text: string | null | undefined): string | undefined {
  const at = new Date((text ?? '').replace(/([+-]\d\d)(\d\d)$/, '$1:$2'))
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString()
}

const longestExcerpt = 300

function shortened(excerpt: string | null | undefined): string | undefined {
  const plain = excerpt
    ?.replaceAll(/@@@(?:end)?hl@@@/g, '')
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .trim()
  if (!plain) return undefined
  return plain.length <= longestExcerpt ? plain : `${plain.slice(0, longestExcerpt - 1).toWellFormed()}…`
}
