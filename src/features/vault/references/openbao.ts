import type { Secret } from '../../../core/secret.ts'
import type { Send } from '../../../lib/outbound.ts'
import type { JsonAnswer } from './asking.ts'
import { makeVaultClient } from './openbao-client.ts'
import { makeLeases } from './openbao-leases.ts'
import { makeTokenKeeper } from './openbao-token.ts'
import type { ReferenceOf } from './reference.ts'
import { type Document, type Source, toValue, Unreadable } from './source.ts'

type Parts = {
  readonly send: Send & { readonly close: () => Promise<void> }
  readonly url: string
  readonly namespace?: string | undefined
  /** Asked for each request. @throws Unreadable */
  readonly token: () => Secret
  /** What may be read of key-value engines (version 2): see `kvRule`. */
  readonly kv: readonly string[]
  /** Paths that are read as they are and answer with a lease. */
  readonly leases: readonly string[]
  readonly now: () => Date
}

/** `vault://mount/path#field`: OpenBao or Vault, its key-value engine and its engines that make credentials on demand. */
export function makeOpenBaoSource(parts: Parts): Source<ReferenceOf<'vault'>> {
  const { send, now, leases: leased } = parts
  const client = makeVaultClient(parts)
  const rules = parts.kv.map(kvRule)
  const leases = makeLeases({ client, now, documentIn })
  const token = makeTokenKeeper({ client, now, token: parts.token })
  const ruleFor = (path: string) =>
    rules.filter(({ allows }) => allows(path)).sort((a, b) => b.mount.length - a.mount.length)[0]

  async function fetchStored(mount: string, { path, version }: ReferenceOf<'vault'>): Promise<Document> {
    const query = version === undefined ? '' : `?version=${version}`
    const { status, body } = await client.ask('GET', `${mount}/data/${path.slice(mount.length + 1)}${query}`)
    const { data, metadata } = (body['data'] ?? {}) as { data?: unknown; metadata?: Record<string, unknown> }
    if (metadata?.['destroyed'] === true) throw new Unreadable('this version was destroyed')
    if (metadata?.['deletion_time'] && (data === null || data === undefined))
      throw new Unreadable('this version was deleted')
    if (status !== 200) throw new Unreadable('there is nothing at this path')
    if (typeof data !== 'object' || data === null || !metadata)
      throw new Unreadable('this is no key-value engine of version 2')
    const made = Date.parse(String(metadata['created_time']))
    return {
      ...documentIn(data as JsonAnswer['body']),
      ...(!Number.isNaN(made) && { changedAt: new Date(made).toISOString() }),
    }
  }

  return {
    refusal({ path, version }) {
      if (leased.includes(path)) return version === undefined ? undefined : 'a leased value has no versions'
      if (ruleFor(path)) return undefined
      return 'the path is not among those in ATLAS_REFERENCE_VAULT_KV or ATLAS_REFERENCE_VAULT_LEASES'
    },
    documentOf: ({ path, version = '' }) => `${path}?${version}`,
    async fetch(reference) {
      if (leased.includes(reference.path)) return leases.fetch(reference.path)
      return fetchStored(ruleFor(reference.path)?.mount ?? '', reference)
    },
    forget: ({ path }) => leases.forget(path),
    async tend() {
      const [ofToken, ofLeases] = await Promise.allSettled([token.tend(), leases.tend()])
      for (const result of [ofToken, ofLeases]) if (result.status === 'rejected') throw result.reason
    },
    async close() {
      await leases.close()
      await send.close()
    },
  }
}

/**
 * What one entry allows: `secret/atlas/` everything below it, `secret/atlas/lab` exactly that. The mount is the first segment, or what
 * stands before a colon: `team/kv:atlas/`.
 */
function kvRule(entry: string): { readonly mount: string; readonly allows: (path: string) => boolean } {
  const [before = '', behind] = entry.split(':')
  const path = behind === undefined ? before : `${before}/${behind}`
  const mount = behind === undefined ? (before.split('/')[0] ?? '') : before
  // A whole mount, written without anything behind it.
  const allowed = path === mount ? `${path}/` : path
  return {
    mount,
    allows: (wanted) => (allowed.endsWith('/') ? wanted.startsWith(allowed) && wanted !== allowed : wanted === allowed),
  }
}

function documentIn(fields: JsonAnswer['body']): Document {
  return {
    valueOf(reference) {
      const field = reference.scheme === 'vault' ? reference.field : ''
      if (!Object.hasOwn(fields, field)) throw new Unreadable('there is no such field')
      return toValue(fields[field])
    },
  }
}
