// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are shell variables
import type { Command } from 'commander'

/** A completion script drawn from the command tree, or undefined for a shell that is not known. */
export function completion(program: Command, shell: string): string | undefined {
  const paths = walk(program, [])
  if (shell === 'fish')
    return paths
      .flatMap(({ path, words }) =>
        words.map(
          (word) =>
            `complete -c atlas -f -n '${path.length === 0 ? '__fish_use_subcommand' : `__fish_seen_subcommand_from ${path.at(-1)}`}' -a '${word}'`,
        ),
      )
      .join('\n')
      .concat('\n')
  const cases = paths.map(({ path, words }) => `    "${path.join(' ')}") words="${words.join(' ')}" ;;`).join('\n')
  const body = [
    '_atlas() {',
    '  local path="" words="" word',
    '  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do case "$word" in -*) ;; *) path="${path:+$path }$word" ;; esac; done',
    '  case "$path" in',
    cases,
    '  esac',
    '  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))',
    '}',
    'complete -F _atlas atlas',
    '',
  ].join('\n')
  if (shell === 'bash') return body
  if (shell === 'zsh') return `autoload -U +X bashcompinit && bashcompinit\n${body}`
  return undefined
}

function walk(command: Command, path: readonly string[]): { path: readonly string[]; words: string[] }[] {
  const words = [
    ...command.commands.map((sub) => sub.name()),
    ...command.options.map(({ long }) => long).filter((long) => long !== undefined && long !== null),
  ]
  return [{ path, words }, ...command.commands.flatMap((sub) => walk(sub, [...path, sub.name()]))]
}
