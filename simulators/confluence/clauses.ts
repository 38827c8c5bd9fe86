// What CQL and JQL have in common.

/** At the words between clauses, not inside quotes or brackets. */
export function split(text: string, word: string): string[] {
  const parts: string[] = []
  let depth = 0
  let isQuoted = false
  let from = 0
  for (let i = 0; i < text.length; i++) {
    const sign = text[i]
    if (sign === '\\' && isQuoted) i++
    else if (sign === '"') isQuoted = !isQuoted
    else if (!isQuoted && sign === '(') depth++
    else if (!isQuoted && sign === ')') depth--
    else if (!isQuoted && depth === 0 && text.slice(i, i + word.length).toLowerCase() === word) {
      parts.push(text.slice(from, i).trim())
      from = i + word.length
      i = from - 1
    }
  }
  return isQuoted || depth !== 0 ? [''] : [...parts, text.slice(from).trim()]
}

/** `"a"`, `a`, or `(a, "b")`. */
export function literals(text: string): string[] | undefined {
  const inner = /^\((.*)\)$/.exec(text)?.[1] ?? text
  const found = [...inner.matchAll(/\s*(?:"((?:[^"\\]|\\.)*)"|([\w.~-]+(?:\("[^"]*"\))?))\s*(?:,|$)/gy)]
  if (found.map(([whole]) => whole).join('') !== inner) return undefined
  return found.map(([, quoted, plain]) => quoted?.replaceAll(/\\(.)/g, '$1') ?? plain ?? '')
}
