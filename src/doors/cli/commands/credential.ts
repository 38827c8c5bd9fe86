import type { Command } from 'commander'
import { askSecret } from '../ask.ts'
import { CliError, type Json } from '../client.ts'
import { fields, print } from '../output.ts'
import type { Shell } from '../program.ts'

const at = (connection: string) => `/connections/${encodeURIComponent(connection)}`

/** `atlas connections credential`: a credential that changes without a gap. */
export function addCredential(connections: Command, shell: Shell): void {
  const credential = connections
    .command('credential')
    .summary('change a credential without a gap: stage, check, promote')
    .addHelpText(
      'after',
      '\nExample:\n  atlas connections credential stage lab --field token --from-file next.token\n  atlas connections credential check lab\n  atlas connections credential promote lab      # then revoke the old one in the system',
    )
  credential
    .command('stage <connection>')
    .summary('store new values beside the current ones, which stay in use')
    .option('--field <field>', 'only this field; otherwise each that is set is asked for')
    .option('--from-file <path>', 'read the value of --field from a file, - for standard input')
    .option('--reference <reference>', 'store where the value of --field is kept instead')
    .action(async (connection: string, options: { field?: string; fromFile?: string; reference?: string }) => {
      const { field: only, fromFile: file, reference } = options
      if ((file !== undefined || reference !== undefined) && only === undefined)
        throw new CliError('--from-file and --reference need --field: which one is it?', 2)
      if (file !== undefined && reference !== undefined)
        throw new CliError('Give --from-file or --reference, not both', 2)
      const current = (await shell.client().get(at(connection)))['credential'] as string[]
      const given: Json = {}
      for (const field of only === undefined ? current : [only])
        given[field] = reference === undefined ? await askSecret(field, file) : { reference }
      const answer = await shell.client().send('POST', `${at(connection)}/credential`, { credential: given })
      print(shell.output(), answer, () => `Staged: ${(answer['fields'] as string[]).join(', ')}`)
    })
  credential
    .command('check <connection>')
    .summary('sign in once with what is staged')
    .action(async (connection: string) => {
      const answer = await shell.client().send('POST', `${at(connection)}/credential/check`, {})
      print(shell.output(), answer, () => fields(answer))
      if (answer['ok'] === false) throw new CliError('The staged credential does not work yet', 1, answer)
    })
  credential
    .command('promote <connection>')
    .summary('check what is staged, and use it from now on')
    .action(async (connection: string) => {
      const answer = await shell.client().send('POST', `${at(connection)}/credential/promote`, {})
      print(shell.output(), answer, () => `${connection} signs in with the new credential. Revoke the old one there.`)
    })
  credential
    .command('discard <connection>')
    .summary('destroy what is staged')
    .action(async (connection: string) => {
      const answer = await shell.client().send('DELETE', `${at(connection)}/credential`)
      print(shell.output(), answer, () => 'Nothing is staged any more')
    })
}
