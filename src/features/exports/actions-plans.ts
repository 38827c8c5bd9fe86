import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import { Name, orderFields, PlanField, PlanId, Principals } from './fields.ts'
import type { Plans } from './plans.ts'
import { Publish } from './publish.ts'

/** Exports that are made again and again. */
export function planActions(plans: Plans): readonly Action[] {
  return [createAction(plans), listAction(plans), removeAction(plans), runAction(plans)]
}

function createAction(plans: Plans) {
  return defineAction({
    name: 'exports.plans.create',
    title: 'Plan an export',
    description:
      'Makes a file on a schedule, each time with the rights that you have then; with `publish` each is handed to an action of a connected system, which may wait for a person’s yes.',
    access: 'write',
    http: { method: 'POST', path: '/export-plans' },
    input: z.strictObject({
      name: Name,
      ...orderFields,
      schedule: z.string().min(9).max(100).describe('Five cron fields (minute hour day month weekday) in UTC.'),
      principals: Principals.default([]),
      publish: Publish.optional(),
    }),
    output: PlanField,
    resource: ({ dataset }) => ({ type: 'dataset', id: dataset }),
    run: ({ principals, ...plan }, { principal }) => plans.create(principal, { ...plan, readers: principals }),
  })
}

function listAction(plans: Plans) {
  return defineAction({
    name: 'exports.plans.list',
    title: 'List planned exports',
    description: 'Your plans, when each runs next and how its last run and publication went; administrators see all.',
    access: 'read',
    http: { method: 'GET', path: '/export-plans' },
    input: z.strictObject({}),
    output: z.object({ items: z.array(PlanField) }),
    resource: () => ({ type: 'export-plan', id: '*' }),
    run: async (_input, { principal }) => ({ items: await plans.list(principal) }),
  })
}

function removeAction(plans: Plans) {
  return defineAction({
    name: 'exports.plans.remove',
    title: 'Remove a planned export',
    description: 'Ends a plan. What it has made stays until its own time is over.',
    access: 'destroy',
    http: { method: 'DELETE', path: '/export-plans/{plan}' },
    input: z.strictObject({ plan: PlanId }),
    output: z.object({ removed: z.literal(true) }),
    resource: ({ plan }) => ({ type: 'export-plan', id: plan }),
    async run({ plan }, { principal }) {
      await plans.remove(principal, plan)
      return { removed: true as const }
    },
  })
}

function runAction(plans: Plans) {
  return defineAction({
    name: 'exports.plans.run',
    title: 'Run a planned export now',
    description:
      'Starts making a plan’s file now. When its last file waited for a yes and has it, that file is published instead.',
    access: 'write',
    http: { method: 'POST', path: '/export-plans/{plan}/run' },
    input: z.strictObject({ plan: PlanId }),
    output: PlanField,
    resource: ({ plan }) => ({ type: 'export-plan', id: plan }),
    run: ({ plan }, { principal }) => plans.run(principal, plan),
  })
}
