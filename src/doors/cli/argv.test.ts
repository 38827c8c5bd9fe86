import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Command } from 'commander'
import { addCommands, type Shell } from './program.ts'

// What stands on a command line, every user of the machine can read in the process list.

function words(command: Command, path = ''): string[] {
  const name = `${path} ${command.name()}`.trim()
  const options = command.options.filter(({ required, optional }) => required || optional)
  return [
    ...options.map((option) => `${name} ${option.flags}`),
    ...command.registeredArguments.map((argument) => `${name} <${argument.name()}>`),
    ...command.commands.flatMap((sub) => words(sub, name)),
  ]
}

test('no command takes a secret as an argument: files, standard input and the terminal only (claims: D9)', () => {
  const program = new Command('atlas')
  addCommands(program, {} as Shell)
  const all = words(program)
  const secretive = all.filter((text) =>
    /passw|secret|token|key|share|pin\b|credential|value/i.test(text.replace(/^atlas \S+ /, '')),
  )

  // What names a file, or a thing that is not secret: an id, a name, a public key, a count, the place where a value is kept.
  const harmless =
    /<(path|file|field=path|reference|field=reference|id|secret|token|shares|principals?|connection|export)>|--vkey|--field|--shares <count>|--set <name=value>/
  assert.ok(all.length > 100)
  assert.deepEqual(
    secretive.filter((text) => !harmless.test(text)),
    [],
  )
})
