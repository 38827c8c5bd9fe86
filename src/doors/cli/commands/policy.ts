import type { Command } from 'commander'
import type { Json } from '../client.ts'
import { findId } from '../names.ts'
import { fields, print, table } from '../output.ts'
import type { Shell } from '../program.ts'

/** `atlas policy` and `atlas approvals`. */
export function addPolicy(program: Command, shell: Shell): void {
  const policy = program.command('policy').summary('the rules, and which of them decides')
  policy
    .command('list')
    .summary('the policies in force')
    .action(async () => {
      const answer = await shell.client().get('/policies')
      print(shell.output(), answer, () =>
        table(
          answer['items'] as Json[],
          { id: (r) => r['id'], description: (r) => r['description'] },
          'No policies: everything is denied.',
        ),
      )
    })
  policy
    .command('explain <action>')
    .summary('say what would be decided, and which rule decides')
    .option('--principal <user>', 'for whom, by name or id (yourself by default; others need admin)')
    .option('--resource <type/id>', 'on what, for example connection/con_…')
    .addHelpText('after', '\nExample:\n  atlas policy explain connections.connections.add --principal claude')
    .action(async (action: string, options: { principal?: string; resource?: string }) => {
      const [type, id] = (options.resource ?? '').split('/')
      const client = shell.client()
      const answer = await client.send('POST', '/policy/explain', {
        action,
        ...(options.principal && { principal: await findId(client, 'principal', options.principal) }),
        ...(type && id && { resource: { type, id } }),
      })
      print(shell.output(), answer, () => fields(answer))
    })
  addApprovals(program, shell)
}

function addApprovals(program: Command, shell: Shell): void {
  const approvals = program.command('approvals').summary('calls that wait for a person')
  approvals
    .command('list')
    .summary('list requests')
    .action(async () => {
      const answer = await shell.client().get('/approvals')
      print(shell.output(), answer, () =>
        table(
          answer['items'] as Json[],
          {
            id: (r) => r['id'],
            state: (r) => r['state'],
            action: (r) => r['action'],
            resource: (r) => (r['resource'] as Json | undefined)?.['id'],
            requester: (r) => (r['principal'] as Json | undefined)?.['name'] ?? r['principal'],
            requested: (r) => r['requestedAt'],
          },
          'Nothing waits for approval.',
        ),
      )
    })
  approvals
    .command('show <approval>')
    .summary('what exactly is asked')
    .action(async (approval: string) => {
      const answer = await shell.client().get(`/approvals/${encodeURIComponent(approval)}`)
      print(shell.output(), answer, () => fields(answer))
    })
  for (const [verb, done] of [
    ['approve', 'approved'],
    ['deny', 'denied'],
  ] as const)
    approvals
      .command(`${verb} <approval>`)
      .summary(verb === 'approve' ? 'let exactly this call happen, once' : 'refuse it')
      .option('--reason <text>', 'why')
      .action(async (approval: string, options: { reason?: string }) => {
        const answer = await shell.client().send('POST', `/approvals/${encodeURIComponent(approval)}/${verb}`, {
          ...(options.reason && { reason: options.reason }),
        })
        print(shell.output(), answer, () => `${approval} is ${done}`)
      })
}
