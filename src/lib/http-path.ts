import type { Query } from '../core/connector.ts'
import { Problem } from '../core/problem.ts'

/**
 * The request target below a base path, or `invalid-input`. Parts of a path can come from a caller (an id), so nothing
 * may climb out of the base path or start a query, even after a proxy on the way has decoded it once more.
 */
export function requestTarget(basePath: string, path: string, query: Query = {}): string {
  if (!/^\/[\x21-\x7e]*$/.test(path) || /[\\?#]|\/\//.test(path) || !isLevel(path))
    throw new Problem('invalid-input', 'The request path has parts that are not allowed')
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue
    for (const item of Array.isArray(value) ? value : [value]) search.append(name, String(item))
  }
  return `${basePath}${path}${search.size > 0 ? `?${search}` : ''}`
}

/** No `.` or `..` segment and no hidden separator trick, however often the text is decoded. */
function isLevel(path: string): boolean {
  let text = path
  for (let round = 0; round < 4; round++) {
    if (text.split(/[/\\]/).some((segment) => segment === '.' || segment === '..' || /^\.{1,2};/.test(segment)))
      return false
    if (/[\p{Cc}]/u.test(text)) return false
    let decoded: string
    try {
      decoded = decodeURIComponent(text)
    } catch {
      // Malformed at first sight is a fault; malformed after decoding is a literal percent sign that was encoded.
      return round > 0
    }
    if (decoded === text) return true
    text = decoded
  }
  return false
}
