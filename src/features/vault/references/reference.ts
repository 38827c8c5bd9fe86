import { z } from 'zod'
import type { Secret } from '../../../core/secret.ts'

/** How each kind of place is written: one form only, nothing escaped, so a text and what it means are the same thing. */
const forms = {
  env: 'env://NAME',
  file: 'file:///directory/name',
  vault: 'vault://mount/path#field or vault://mount/path?version=3#field',
  awssm: 'awssm://name or awssm://name#key',
} as const

export type Scheme = keyof typeof forms
export const schemes = Object.keys(forms) as [Scheme, ...Scheme[]]

/** Where a value is kept that Atlas reads at the moment of use and does not store. */
export type Reference =
  | { readonly scheme: 'env'; readonly name: string }
  | { readonly scheme: 'file'; readonly path: string }
  | { readonly scheme: 'vault'; readonly path: string; readonly version?: number; readonly field: string }
  | { readonly scheme: 'awssm'; readonly name: string; readonly key?: string }

export type ReferenceOf<S extends Scheme> = Extract<Reference, { scheme: S }>

/** A reference as it stands in inputs, in place of a value. */
export type Referred = { readonly reference: string }
/** What a secret is made of: its value, or the place where that is kept. */
export type Given = Secret | Referred

const longest = 1024
const segments = /^[A-Za-z0-9._@+=~-]+(?:\/[A-Za-z0-9._@+=~-]+)*$/
const member = /^[A-Za-z0-9._@/+=-]{1,128}$/

/** The place that a text names; undefined when it is not exactly one of the forms. */
export function parseReference(text: string): Reference | undefined {
  if (text.length > longest) return undefined
  const [, scheme, rest = ''] = /^([a-z]+):\/\/(.+)$/.exec(text) ?? []
  if (scheme === 'env') return /^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(rest) ? { scheme, name: rest } : undefined
  if (scheme === 'file') return rest.startsWith('/') && isPath(rest.slice(1)) ? { scheme, path: rest } : undefined
  if (scheme === 'vault') return parseVault(rest)
  if (scheme === 'awssm') return parseAws(rest)
  return undefined
}

/** The text of a place: `parseReference` gives the place back. */
export function printReference(reference: Reference): string {
  if (reference.scheme === 'env') return `env://${reference.name}`
  if (reference.scheme === 'file') return `file://${reference.path}`
  if (reference.scheme === 'awssm')
    return `awssm://${reference.name}${reference.key === undefined ? '' : `#${reference.key}`}`
  const version = reference.version === undefined ? '' : `?version=${reference.version}`
  return `vault://${reference.path}${version}#${reference.field}`
}

/** What a text that is no reference must look like, for a person. */
export function referenceRule(text: string): string {
  const [, scheme = ''] = /^([a-z]+):\/\//.exec(text) ?? []
  return Object.hasOwn(forms, scheme)
    ? `must look like ${forms[scheme as Scheme]}`
    : `must begin with ${schemes.map((name) => `${name}://`).join(', ')}`
}

/** A reference in an action's input. It stays the text that it is: it is no secret, and means one thing only. */
export const ReferenceText = z
  .string()
  .max(longest)
  .superRefine((text, context) => {
    if (!parseReference(text)) context.addIssue(referenceRule(text))
  })
  .describe(
    `Where the value is kept, in place of the value: ${Object.values(forms).join('; ')}. It is read at each use and never stored (docs/operate/references.md).`,
  )

/** No empty segment, and none that leads elsewhere. */
function isPath(text: string): boolean {
  return segments.test(text) && !text.split('/').some((segment) => segment === '.' || segment === '..')
}

function parseVault(rest: string): Reference | undefined {
  const [, path = '', version, field = ''] = /^([^?#]+)(?:\?version=([1-9]\d{0,8}))?#([^#]+)$/.exec(rest) ?? []
  if (!isPath(path) || !path.includes('/') || !member.test(field)) return undefined
  return { scheme: 'vault', path, ...(version !== undefined && { version: Number(version) }), field }
}

function parseAws(rest: string): Reference | undefined {
  const [, name = '', key] = /^([A-Za-z0-9/_+=.@-]{1,512})(?:#([^#]+))?$/.exec(rest) ?? []
  if (name === '' || (key !== undefined && !member.test(key))) return undefined
  return { scheme: 'awssm', name, ...(key !== undefined && { key }) }
}
