import { type CosignerKey, parseCosignerVkey } from './cosignature.ts'
import { NoteError, parseVkey, splitVkey, type VerifierKey } from './signed-note.ts'

/** C2SP tlog-policy: which logs and witnesses are known, and which witnesses' cosignatures make a checkpoint valid. */
export type Policy = {
  readonly logs: readonly { readonly key: VerifierKey; readonly url?: string }[]
  readonly witnesses: readonly PolicyWitness[]
  /** Whether these witnesses, by their names in the policy, are enough. */
  readonly isMet: (names: ReadonlySet<string>) => boolean
}
export type PolicyWitness = { readonly name: string; readonly key: CosignerKey; readonly url?: string }

type Rule = { readonly needed: number; readonly members: readonly string[] }

/** Throws `NoteError` that names the line. */
export function parsePolicy(text: string): Policy {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what the format forbids
  if (/[\x00-\x08\x0b-\x1f\x7f]/.test(text))
    throw new NoteError('a policy has no control character but tab and newline')
  const logs: { key: VerifierKey; url?: string }[] = []
  const witnesses: PolicyWitness[] = []
  const rules = new Map<string, Rule>()
  const members = new Set<string>()
  const keys = new Set<string>()
  let quorum: string | undefined
  const define = (name: string, rule: Rule) => {
    if (name === 'none' || rules.has(name)) throw new NoteError(`the name ${name} is taken`)
    rules.set(name, rule)
  }
  const unique = (vkey: string) => {
    const raw = splitVkey(vkey).typedKey.toString('base64', 1)
    if (keys.has(raw)) throw new NoteError('a key stands there twice')
    keys.add(raw)
  }
  const read = ([word, ...rest]: string[]): void => {
    const [first = '', second = '', third, ...more] = rest
    if (word === 'log' && rest.length <= 2) {
      unique(first)
      logs.push({ key: parseVkey(first), ...(second !== '' && { url: second }) })
    } else if (word === 'witness' && rest.length >= 2 && more.length === 0) {
      unique(second)
      define(first, { needed: 1, members: [] })
      witnesses.push({ name: first, key: parseCosignerVkey(second), ...(third !== undefined && { url: third }) })
    } else if (word === 'group' && rest.length >= 3) define(first, groupOf(second, rest.slice(2), rules, members))
    else if (word === 'quorum' && rest.length === 1 && quorum === undefined) {
      if (first !== 'none' && !rules.has(first)) throw new NoteError(`${first} is not defined above`)
      quorum = first
    } else throw new NoteError('the line is none of log, witness, group and quorum')
  }
  for (const [i, line] of text.split('\n').entries()) {
    const words = line.split(/[ \t]+/).filter(Boolean)
    if (words.length === 0 || words[0]?.startsWith('#')) continue
    try {
      read(words)
    } catch (error) {
      if (error instanceof NoteError) throw new NoteError(`line ${i + 1} of the policy: ${error.message}`)
      throw error
    }
  }
  if (quorum === undefined) throw new NoteError('the policy has no quorum line')
  const wanted = quorum
  return { logs, witnesses, isMet: (names) => wanted === 'none' || holds(wanted, rules, names) }
}

function groupOf(needed: string, names: string[], rules: ReadonlyMap<string, Rule>, members: Set<string>): Rule {
  for (const name of names) {
    if (!rules.has(name)) throw new NoteError(`${name} is not defined above`)
    if (members.has(name)) throw new NoteError(`${name} is in two groups`)
    members.add(name)
  }
  const count = needed === 'all' ? names.length : needed === 'any' ? 1 : Number(needed)
  if (!/^(all|any|[1-9][0-9]*)$/.test(needed) || count > names.length)
    throw new NoteError('a group needs all, any, or a number of its members')
  return { needed: count, members: names }
}

function holds(name: string, rules: ReadonlyMap<string, Rule>, names: ReadonlySet<string>): boolean {
  const { needed = 1, members = [] } = rules.get(name) ?? {}
  if (members.length === 0) return names.has(name)
  return members.filter((member) => holds(member, rules, names)).length >= needed
}
