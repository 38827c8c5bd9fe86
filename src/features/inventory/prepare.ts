import { hash } from 'node:crypto'
import type { Observation } from '../../core/connector.ts'
import { type Marks, marksOf } from './machines/marks.ts'

export type Relation = { readonly type: string; readonly kind: string; readonly externalId: string }

/**
 * An observation in the form that is stored. `key` names it within its connection; `hash` changes when anything shown does, its
 * first half (`searchHash`) only when what the search index holds does.
 */
export type Prepared = {
  readonly key: string
  readonly observation: Observation
  readonly status: string
  readonly site: string
  readonly addresses: string
  readonly attributes: string
  readonly facts: string
  /** Undefined: not a machine. */
  readonly marks: Marks | undefined
  readonly relations: readonly Relation[]
  readonly hash: string
}

// PostgreSQL refuses index rows over 2,704 bytes and SQLite's get slow; what identifies or groups an asset is at most this long.
const maxIdentifier = 500

// What one asset may hold: a system decides what it sends, and fifty changes of each asset are kept.
const maxAttributes = 131_072
const maxAddresses = 1_000
const maxRelations = 10_000

export function prepare(given: Observation): Prepared {
  const observation: Observation = {
    ...given,
    kind: identifier(given.kind),
    externalId: identifier(given.externalId),
    name: identifier(given.name),
    ...(given.status !== undefined && { status: identifier(given.status) }),
    ...(given.site !== undefined && { site: identifier(given.site) }),
    ...(given.serial !== undefined && { serial: identifier(given.serial) }),
    ...(given.url !== undefined && { url: clean(given.url) }),
  }
  const { kind, externalId, name, status = '', site = '', serial, url } = observation
  const addresses = JSON.stringify((given.addresses ?? []).slice(0, maxAddresses).map(identifier))
  const attributes = JSON.stringify(bounded(sorted(given.attributes)))
  const relations = prepareRelations(given.relations ?? [])
  const facts = JSON.stringify(sorted(given.facts ?? {}))
  const marks = marksOf(observation)
  const found = JSON.stringify([name, status, site, serial, addresses, attributes])
  const other = JSON.stringify([url, relations, facts, marks])
  return {
    key: keyOf({ kind, externalId }),
    observation,
    status,
    site,
    addresses,
    attributes,
    facts,
    marks,
    relations,
    hash: shortHash(found) + shortHash(other),
  }
}

/** What the search index holds of an asset has not changed while this has not. */
export function searchHash(hash: string): string {
  return hash.slice(0, 22)
}

function shortHash(text: string): string {
  return hash('sha256', text, 'base64url').slice(0, 22)
}

/** The name of a thing within its connection, as `Prepared` has it. */
export function keyOf({ kind, externalId }: { readonly kind: string; readonly externalId: string }): string {
  return JSON.stringify([kind, externalId])
}

/** A text as it identifies or groups assets: too long ones are cut and told apart by a hash. */
export function identifier(text: string): string {
  const cleaned = clean(text)
  if (cleaned.length <= maxIdentifier) return cleaned
  return `${cleaned.slice(0, maxIdentifier - 23).toWellFormed()}~${hash('sha256', cleaned, 'base64url').slice(0, 22)}`
}

/** PostgreSQL's text holds neither NUL nor half of a surrogate pair. */
function clean(text: string): string {
  return text.toWellFormed().replaceAll('\0', '')
}

/** What does not fit is left out whole, the values in the order of their names. */
function bounded(named: Readonly<Record<string, unknown>>): Record<string, unknown> {
  let size = 0
  return Object.fromEntries(
    Object.entries(named).filter(([name, value]) => {
      const next = size + name.length + (JSON.stringify(value)?.length ?? 0)
      if (next > maxAttributes) return false
      size = next
      return true
    }),
  )
}

function sorted(named: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(named).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function prepareRelations(relations: readonly Relation[]): Relation[] {
  const byText = new Map(
    relations.slice(0, maxRelations).map(({ type, kind, externalId }) => {
      const relation = { type: identifier(type), kind: identifier(kind), externalId: identifier(externalId) }
      return [JSON.stringify(Object.values(relation)), relation] as const
    }),
  )
  return [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, relation]) => relation)
}
