import { z } from 'zod'
import { type Action, defineAction } from '../../../core/action.ts'
import type { MachineParts } from './action-parts.ts'
import { DecisionShape, lineOf, MachineId, MachineLine } from './shapes.ts'

export function decisionActions(parts: MachineParts): readonly Action[] {
  return [splitAction(parts), joinAction(parts), listAction(parts), withdrawAction(parts)]
}

const note = z.string().max(500).default('').describe('Why, for those who look at the decision later.')
const outcome = z.object({
  decision: z.string().describe('Id of the decision (mdc_…), to withdraw it.'),
  machines: z.array(MachineLine).describe('The machines that the assets belong to now.'),
})

function splitAction({ machines }: MachineParts): Action {
  return defineAction({
    name: 'inventory.machines.split',
    title: 'Split a machine',
    description:
      'Takes entries out of a machine that are another thing. They become a machine of their own, and no later sync joins the two again until the decision is withdrawn.',
    access: 'write',
    http: { method: 'POST', path: '/machines/{machine}/split' },
    input: z.strictObject({
      machine: MachineId.describe('Id of the machine (mch_…).'),
      assets: z.array(z.string().min(1).max(64)).min(1).max(50).describe('Ids of the assets to take out (ast_…).'),
      note,
    }),
    output: outcome,
    resource: ({ machine }) => ({ type: 'machine', id: machine }),
    async run({ machine, assets, note: why }, { principal: { id, name } }) {
      const done = await machines.split(machine, assets, { id, name }, why)
      return { decision: done.decision, machines: done.machines.map(lineOf) }
    },
  })
}

function joinAction({ machines }: MachineParts): Action {
  return defineAction({
    name: 'inventory.machines.join',
    title: 'Join machines',
    description:
      'Says that several machines are one. It outweighs whatever the systems say and stays until the decision is withdrawn.',
    access: 'write',
    http: { method: 'POST', path: '/machines/join' },
    input: z.strictObject({
      machines: z.array(MachineId).min(2).max(10).describe('Ids of the machines (mch_…).'),
      note,
    }),
    output: outcome,
    resource: () => ({ type: 'inventory', id: '*' }),
    async run({ machines: ids, note: why }, { principal: { id, name } }) {
      const done = await machines.join(ids, { id, name }, why)
      return { decision: done.decision, machines: done.machines.map(lineOf) }
    },
  })
}

function listAction({ machines }: MachineParts): Action {
  return defineAction({
    name: 'inventory.decisions.list',
    title: 'List decisions about machines',
    description: 'What people decided about which entries are one machine, the newest first, withdrawn ones included.',
    access: 'read',
    http: { method: 'GET', path: '/inventory/decisions' },
    input: z.strictObject({
      limit: z.coerce.number().int().min(1).max(200).default(50).describe('How many at most (1–200).'),
      before: z.coerce
        .number()
        .int()
        .min(1)
        .max(2_147_483_647)
        .optional()
        .describe('The next value of the page before.'),
    }),
    output: z.object({ items: z.array(DecisionShape), next: z.int().nullable() }),
    resource: () => ({ type: 'inventory', id: '*' }),
    async run({ limit, before }) {
      const { decisions, next } = await machines.decisions(before, limit)
      return { items: decisions.map((one) => ({ ...one, parts: one.parts.map((part) => [...part]) })), next }
    },
  })
}

function withdrawAction({ machines }: MachineParts): Action {
  return defineAction({
    name: 'inventory.decisions.withdraw',
    title: 'Withdraw a decision about machines',
    description: 'Takes a split or join back. The machines are decided anew from what the systems say.',
    access: 'write',
    http: { method: 'POST', path: '/inventory/decisions/{decision}/withdraw' },
    input: z.strictObject({ decision: z.string().min(1).max(64).describe('Id of the decision (mdc_…).') }),
    output: z.object({ machines: z.array(MachineLine).describe('The machines that the assets belong to now.') }),
    resource: ({ decision }) => ({ type: 'decision', id: decision }),
    async run({ decision }, { principal: { id, name } }) {
      const done = await machines.withdraw(decision, { id, name })
      return { machines: done.machines.map(lineOf) }
    },
  })
}
