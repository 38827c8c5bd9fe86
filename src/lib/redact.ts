import { formsOf } from './redact-forms.ts'
import { makeMatcher, type Pattern } from './redact-matcher.ts'

export type Redactor = {
  /** Knows `value` from now on, under a name of the caller's that always stands for the same value (`sec_…/1`). */
  add(name: string, value: string): void
  /** Forgets the values of all names that start with `prefix`. */
  forget(prefix: string): void
  /**
   * `value` with `[secret]` in place of every known value in its strings, keys and large numbers, in the forms that
   * lib/redact-forms.ts lists; `value` itself when there is nothing to replace. For plain data: a class instance becomes
   * its JSON or its own members, bytes are not searched, and what lies deeper than 100 levels is cut off.
   */
  redact(value: unknown): unknown
}

const mark = '[secret]'
const deepest = 100

/** Finds the known secret values in what leaves the process. Past `maxForms` texts the values longest unused are forgotten. */
export function makeRedactor({ maxForms = 500_000 }: { maxForms?: number } = {}): Redactor {
  const matcher = makeMatcher()
  // Insertion order is order of use.
  const names = new Map<string, readonly Pattern[]>()
  let forms = 0

  return { add, forget, redact: (value) => (matcher.isEmpty() ? value : walk(value, { done: new Map(), depth: 0 })) }

  function add(name: string, value: string): void {
    const known = names.get(name)
    names.delete(name)
    const patterns = known ?? formsOf(value).map(matcher.add)
    names.set(name, patterns)
    if (!known) forms += patterns.length
    for (const [oldest] of names) {
      if (forms <= maxForms || oldest === name) return
      drop(oldest)
    }
  }

  function forget(prefix: string): void {
    for (const name of names.keys()) if (name.startsWith(prefix)) drop(name)
  }

  function drop(name: string): void {
    const patterns = names.get(name) ?? []
    patterns.forEach(matcher.remove)
    names.delete(name)
    forms -= patterns.length
  }

  function walk(value: unknown, seen: Seen): unknown {
    if (typeof value === 'string') return inText(value)
    if (typeof value === 'number' || typeof value === 'bigint') return inNumber(value)
    if (typeof value !== 'object' || value === null || value instanceof Date) return value
    // Each object once: a value that contains itself ends, and one that is used in many places costs once.
    if (seen.done.has(value)) return seen.done.get(value)
    if (seen.depth === deepest) return '[too deep]'
    seen.done.set(value, '[circular]')
    seen.depth += 1
    const result = inside(value, seen)
    seen.depth -= 1
    seen.done.set(value, result)
    return result
  }

  function inside(value: object, seen: Seen): unknown {
    if (Array.isArray(value)) return inArray(value, seen)
    if (value instanceof Error) return inObject(membersOf(value), seen)
    if ('toJSON' in value && typeof value.toJSON === 'function') return walk(value.toJSON(), seen)
    return inObject(value, seen)
  }

  function inText(text: string): string {
    const ranges = matcher.find(text)
    if (ranges.length === 0) return text
    let [result, at] = ['', 0]
    for (const { start, end } of ranges) {
      result += text.slice(at, start) + mark
      at = end
    }
    return result + text.slice(at)
  }

  function inNumber(value: number | bigint): unknown {
    const text = String(value)
    return matcher.find(text).length === 0 ? value : mark
  }

  function inArray(items: readonly unknown[], seen: Seen): unknown {
    const walked = items.map((item) => walk(item, seen))
    return walked.some((item, i) => item !== items[i]) ? walked : items
  }

  function inObject(value: object, seen: Seen): unknown {
    let changed = false
    const members = Object.entries(value).map(([name, member]) => {
      const walked = [inText(name), walk(member, seen)] as const
      changed ||= walked[0] !== name || walked[1] !== member
      return walked
    })
    // fromEntries defines members: a key `__proto__` stays a key.
    return changed ? Object.fromEntries(members) : value
  }
}

type Seen = { readonly done: Map<object, unknown>; depth: number }

/** What an error says; its own members alone would leave out the message. */
function membersOf(error: Error): object {
  const { name, message, stack, cause } = error
  return { ...error, name, message, stack, ...(cause !== undefined && { cause }) }
}
