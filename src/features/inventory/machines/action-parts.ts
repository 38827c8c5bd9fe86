import type { makeDecisions } from './decisions.ts'
import type { makeMachineReader } from './machine.ts'
import type { MachineFinding } from './shapes.ts'

export type NameOf = (connection: string) => Promise<string | undefined>

export type Machines = ReturnType<typeof makeMachineReader> &
  Omit<ReturnType<typeof makeDecisions>, 'list'> & {
    readonly decisions: ReturnType<typeof makeDecisions>['list']
  }

export type MachineParts = {
  readonly machines: Machines
  /** The name that people gave a connection, if it still exists. */
  readonly connectionName: NameOf
  /** The id of a connection given by id or name; throws Problem not-found. */
  readonly resolveConnection: (idOrName: string) => Promise<string>
  /** Open findings about a machine. */
  readonly findingsOf: (machine: string) => Promise<readonly MachineFinding[]>
}
