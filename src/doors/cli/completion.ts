import type { Argument, Command, Option } from 'commander'
import type { Client, Json } from './client.ts'
import { listAll } from './names.ts'

/** The script that a shell sources. It asks this program for each completion, so it never goes out of date. */
export function completionScript(shell: string): string | undefined {
  if (shell === 'bash') return bash
  if (shell === 'zsh') return `autoload -U +X bashcompinit && bashcompinit\n${bash}`
  if (shell === 'fish') return "complete -c atlas -f -a '(atlas complete -- (commandline -opc)[2..-1] 2>/dev/null)'\n"
  return undefined
}

// Without an answer the shell completes file names, which is right after --password-file and its like.
const bash = `_atlas() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$(atlas complete -- "\${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null)" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _atlas atlas
`

type Fetch = (client: Client) => Promise<readonly unknown[]>

const ofList =
  (path: string, field: string): Fetch =>
  async (client) =>
    (await listAll(client, path)).map((row) => row[field])

const roles = ['viewer', 'developer', 'operator', 'auditor', 'admin']
/** What stands for an argument or the value of an option, by its name in the help. */
const values: Readonly<Record<string, readonly string[] | Fetch>> = {
  connection: ofList('/connections', 'name'),
  connector: ofList('/connectors', 'id'),
  user: async (client) => [...(await ofList('/users', 'username')(client)), ...(await agents(client))],
  principal: async (client) => [...(await ofList('/users', 'username')(client)), ...(await agents(client))],
  secret: ofList('/secrets', 'name'),
  approval: ofList('/approvals', 'id'),
  scope: async (client) => (await ofList('/connections', 'name')(client)).map((name) => `connection/${name}`),
  role: roles,
  shell: ['bash', 'zsh', 'fish'],
  order: ['relevance', 'name', '-name', 'updated', '-updated'],
}

async function agents(client: Client): Promise<readonly unknown[]> {
  const { items } = await client.get('/users', { kind: 'agent' })
  return (items as Json[]).map(({ name }) => name)
}

/** What may follow these words: subcommands, option names, or the names of things that the server knows. */
export async function complete(program: Command, words: readonly string[], client: () => Client): Promise<string[]> {
  const { command, option, position } = follow(program, words)
  if (option) return known(option.flags.match(/[<[]([a-z]+)/)?.[1], client)
  const argument = nth(command, position)
  return [
    ...command.commands.filter((sub) => !isHidden(sub)).map((sub) => sub.name()),
    ...(argument ? await known(argument.name(), client) : []),
    ...[...command.options, ...(command === program ? [] : inherited(program))].flatMap(({ long }) => long ?? []),
  ]
}

const inherited = (program: Command) => program.options.filter(({ long }) => long !== '--version')

type Place = { readonly command: Command; readonly option?: Option; readonly position: number }

/** The command that the words lead to, how many arguments it has, and the option that waits for its value. */
function follow(program: Command, words: readonly string[]): Place {
  let command = program
  let position = 0
  let option: Option | undefined
  for (const word of words) {
    if (option) option = undefined
    else if (word.startsWith('-')) {
      const found = [...command.options, ...program.options].find(({ short, long }) => word === short || word === long)
      option = found && (found.required || found.optional) ? found : undefined
    } else {
      const next = position === 0 ? command.commands.find((sub) => sub.name() === word) : undefined
      if (next) command = next
      else position++
    }
  }
  return { command, position, ...(option && { option }) }
}

function nth(command: Command, position: number): Argument | undefined {
  const { registeredArguments: all } = command
  return all[position] ?? all.findLast(({ variadic }) => variadic)
}

/** No name here is worth an error in the middle of typing: without a server or a right there is nothing to offer. */
async function known(name: string | undefined, client: () => Client): Promise<string[]> {
  const source = values[name ?? '']
  if (typeof source !== 'function') return [...(source ?? [])]
  try {
    return (await source(client())).map(String).filter(isPlain)
  } catch {
    return []
  }
}

/** Shells expand the words that they are given: a name that could be more than a word is left out. */
function isPlain(name: string): boolean {
  return /^[\p{L}\p{N}][\p{L}\p{N}._@/-]*$/u.test(name)
}

function isHidden(command: Command): boolean {
  return (command as unknown as { _hidden?: boolean })._hidden === true
}
