import { makeEstate } from './estate.ts'
import { makeTruth, type Truth } from './truth.ts'

export type Company = {
  readonly seed?: number
  readonly devices?: number
  readonly vms?: number
  /** Of each planted flaw; 0 is a company whose systems agree. */
  readonly copies?: number
  readonly now?: Date
}

/** The company that all simulators of one run share: the same options give the same machines. */
export function makeCompany({ seed = 1, devices = 288, vms = 400, copies = 0, now = new Date() }: Company = {}): Truth {
  return makeTruth({ estate: makeEstate({ seed, devices, vms }), seed, now, copies })
}
