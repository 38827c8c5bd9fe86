import { isSecretName, looksSecret } from './secret-names.ts'

type Scalar = string | number | boolean | null

const longestText = 500
const mostFacts = 2000
const deepest = 12

/** Structured facts as paths: `networking.ip`. What may be a secret is only counted. */
export function flatten(rows: readonly { readonly name: string; readonly value?: unknown }[]) {
  const facts: Record<string, Scalar> = Object.create(null)
  let count = 0
  let leftOut = 0
  let truncated = false
  const visit = (path: string, value: unknown, depth: number): void => {
    if (isSecretName(path) || (typeof value === 'string' && looksSecret(value))) leftOut++
    else if (count >= mostFacts || depth > deepest) truncated = true
    else if (typeof value === 'object' && value !== null) {
      for (const [name, inner] of Object.entries(value)) visit(`${path}.${name}`, inner, depth + 1)
    } else {
      facts[path] = typeof value === 'string' ? value.slice(0, longestText) : ((value ?? null) as Scalar)
      count++
    }
  }
  for (const { name, value } of rows) visit(name, value, 0)
  return { facts, leftOut, truncated }
}
