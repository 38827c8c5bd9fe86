import type { KeyKind, Marks } from './marks.ts'

/** Why two assets may be the same machine. */
export type Evidence = {
  readonly kind: KeyKind | 'site' | 'person'
  /** What both have; for a site, the site. */
  readonly value: string
  readonly strength: 'strong' | 'weak'
}

/** Why two assets cannot be the same machine. */
export type Contradiction = { readonly kind: 'serial' | 'uuid' | 'form'; readonly values: readonly [string, string] }

/** How much evidence outweighs other evidence; a link of a higher score is made first. */
const weights: Readonly<Record<Evidence['kind'], number>> = {
  person: 1000,
  uuid: 40,
  serial: 40,
  mac: 30,
  fqdn: 20,
  name: 5,
  address: 5,
  site: 2,
}

/**
 * What speaks for it. `isEvidence` is false for keys that stopped being evidence: those of clones and those that too many share.
 * The evidence of one kind is given once.
 */
export function evidenceOf(a: Marks, b: Marks, isEvidence: (key: string) => boolean): Evidence[] {
  const both = (kind: KeyKind, one: readonly string[], other: readonly string[]) =>
    one.find((value) => other.includes(value) && isEvidence(`${kind}:${value}`))
  const found: Evidence[] = []
  const add = (kind: Evidence['kind'], value: string | undefined, strength: Evidence['strength']) => {
    if (value !== undefined) found.push({ kind, value, strength })
  }
  add('uuid', both('uuid', a.uuids, b.uuids), 'strong')
  add('serial', both('serial', a.serials, b.serials), 'strong')
  add('mac', both('mac', a.macs, b.macs), 'strong')
  add('fqdn', both('fqdn', a.fqdns, b.fqdns), 'strong')
  const name = sameName(a, b)
  if (name !== undefined && isEvidence(`name:${name}`)) add('name', name, 'weak')
  add('address', both('address', a.addresses, b.addresses), 'weak')
  add('site', sameSite(a, b, name), 'weak')
  return found
}

/** Whether it is enough: a strong key, or two weak ones of different kinds. A site alone with an address needs a nameless side. */
export function isEnough(evidence: readonly Evidence[], a: Marks, b: Marks): boolean {
  if (evidence.some(({ strength }) => strength === 'strong')) return true
  const kinds = new Set(evidence.map(({ kind }) => kind))
  if (kinds.has('name')) return kinds.has('address') || kinds.has('site')
  const isNameless = a.names.length === 0 || b.names.length === 0
  return kinds.has('address') && kinds.has('site') && isNameless
}

export function scoreOf(evidence: readonly Evidence[]): number {
  return evidence.reduce((sum, { kind }) => sum + weights[kind], 0)
}

/** Hardware that differs, or a physical machine against a virtual one when no hardware says that they are the same. */
export function contradictionOf(a: Marks, b: Marks, evidence: readonly Evidence[]): Contradiction | undefined {
  const apart = (one: readonly string[], other: readonly string[]) =>
    one.length > 0 && other.length > 0 && !one.some((value) => other.includes(value))
  if (apart(a.serials, b.serials)) return { kind: 'serial', values: [a.serials[0] ?? '', b.serials[0] ?? ''] }
  if (apart(a.uuids, b.uuids)) return { kind: 'uuid', values: [a.uuids[0] ?? '', b.uuids[0] ?? ''] }
  if (a.form && b.form && a.form !== b.form && !evidence.some(({ kind }) => isHardware(kind)))
    return { kind: 'form', values: [a.form, b.form] }
  return undefined
}

export function isHardware(kind: Evidence['kind']): boolean {
  return kind === 'uuid' || kind === 'serial' || kind === 'mac'
}

/** Two full names with the same first label and other domains are two machines' names. */
function sameName(a: Marks, b: Marks): string | undefined {
  const domainsDiffer = (name: string) => {
    const of = ({ fqdns }: Marks) => fqdns.filter((fqdn) => fqdn.startsWith(`${name}.`))
    const [one, other] = [of(a), of(b)]
    return one.length > 0 && other.length > 0 && !one.some((fqdn) => other.includes(fqdn))
  }
  return a.names.find((name) => b.names.includes(name) && !domainsDiffer(name))
}

/** Both are at the same site, or the name that they share carries the site that one of them names: `fra1-web01` at `FRA1`. */
function sameSite(a: Marks, b: Marks, name: string | undefined): string | undefined {
  const [one, other] = [wordsOf(a.site), wordsOf(b.site)]
  if (one.length > 0 && other.length > 0 && (isWithin(one, other) || isWithin(other, one))) return a.site ?? undefined
  if (name === undefined) return undefined
  const parts = name.split(/[-_.]/)
  const carried = (site: readonly string[]) =>
    site.length > 0 && parts.length > site.length && site.join('').length > 2 && isWithin(site, parts)
  return carried(one) ? (a.site ?? undefined) : carried(other) ? (b.site ?? undefined) : undefined
}

const commonWords = new Set(
  'dc datacenter datacentre data center centre site room rack rz location prod the'.split(' '),
)

/** What is particular about a site's name: `FRA1` and `dc-fra1` are the same. */
function wordsOf(site: string | null): string[] {
  const words = (site ?? '')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '' && !commonWords.has(word))
  return words.some((word) => /\p{L}{2}/u.test(word)) ? words : []
}

function isWithin(words: readonly string[], others: readonly string[]): boolean {
  return words.every((word) => others.includes(word))
}
