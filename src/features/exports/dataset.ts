import type { z } from 'zod'
import type { Principal, Resource } from '../../core/action.ts'
import type { Sheet } from './table.ts'

/** Something that can be exported. Which there are is app.ts's matter; this room knows none of them. */
export type Dataset = {
  readonly title: string
  readonly describe: string
  readonly params: z.ZodObject
  /** Actions: whoever may not call each of them on the whole inventory may not export it either. An export opens nothing. */
  readonly reads: readonly string[]
  /** Only says what there is; reading starts with `rows`. May throw a `Problem` about the params. */
  readonly sheets: (params: never, signal: AbortSignal) => readonly Sheet[]
}

export type Datasets = Readonly<Record<string, Dataset>>

/** What policy says to one question, as it would to the call itself. */
export type May = (principal: Principal, action: string, resource: Resource) => boolean

/** Keeps the type of the params between their schema and what reads with them. */
export function defineDataset<P extends z.ZodObject>(
  spec: Omit<Dataset, 'params' | 'sheets'> & {
    readonly params: P
    readonly sheets: (params: z.output<P>, signal: AbortSignal) => readonly Sheet[]
  },
): Dataset {
  return spec
}
