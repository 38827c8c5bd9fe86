import { z } from 'zod'

const id = /^[A-Za-z0-9][\w.-]{0,99}$/

export const VmId = z.string().regex(id).describe("The virtual machine's id in vCenter, for example vm-1042.")
export const SnapshotId = z.string().regex(id).describe("The snapshot's id in vCenter, for example snapshot-77.")
export const TaskId = z.string().regex(id).describe("The task's id in vCenter, for example task-512.")
export const WaitSeconds = z.coerce
  .number()
  .int()
  .min(0)
  .max(90)
  .default(30)
  .describe('How long to wait for the end (0 to 90 seconds). After that the task goes on, and the answer has its id.')

export const TaskOutput = z.object({
  id: z.string(),
  name: z.string().describe('What it does, in words of vCenter: VirtualMachine.powerOn.'),
  state: z.enum(['queued', 'running', 'success', 'error']),
  progressPercent: z.number().nullable(),
  target: z.string().nullable().describe('Id of what it works on.'),
  startedAt: z.string().nullable(),
  endedAt: z.string().nullable(),
  result: z.string().nullable().describe('Id of what it made.'),
  problem: z.string().nullable().describe('Why it failed.'),
})
