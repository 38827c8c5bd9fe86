import { z } from 'zod'

/** How an action's input names a connection. */
export const Connection = z.string().min(1).max(64).describe('Id or name of the connection.')

/** A problem as it stays visible on a connection or a run. */
export const ShownProblem = z.object({ type: z.string(), title: z.string(), detail: z.string().optional() })
