import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { puppetdb } from '../../src/connectors/puppetdb/index.ts'
import { type Context, handlerOf } from '../../src/core/action.ts'
import { connectTo } from '../../src/testing/connector.ts'
import { makeCompany } from '../lib/company.ts'
import { type PuppetdbOptions, startPuppetdb } from './start.ts'

// The connector, the real HTTP client and the simulated PuppetDB, over TLS with a client certificate.

export const company = { seed: 2, devices: 240, vms: 100 }
/** What must never come out of the connector, whatever is read. */
export const canaries = /canary|hunter2/
export const hours = 3_600_000

export type Sim = Awaited<ReturnType<typeof startPuppetdb>>

export async function connect(t: TestContext, options: PuppetdbOptions = {}, config: object = { pageSize: 40 }) {
  const sim = await startPuppetdb({ truth: makeCompany(company), ...options })
  t.after(sim.stop)
  return { sim, ...as(t, sim, sim.credential, config) }
}

export function as(t: TestContext, sim: Sim, credential: Record<string, string>, more: object = {}, caPem = sim.caPem) {
  return connectTo(t, puppetdb, { config: { ...sim.config, ...more }, credential, caPem })
}

export async function call(connection: ReturnType<typeof connectTo>, name: string, input: Record<string, unknown>) {
  const action = puppetdb.actions.find((one) => one.name === name)
  assert.ok(action, name)
  const parsed = action.input.parse({ connection: 'pdb', ...input })
  const context: Context = {
    principal: { id: 'usr_1', kind: 'user', name: 'Ana', bindings: [], version: '1' },
    door: 'http',
    requestId: 'req_1',
    signal: connection.context.signal,
    connection: { id: 'con_1', config: connection.config, http: connection.http },
  }
  return action.output.parse(await handlerOf(action).run(parsed, context)) as Record<string, unknown>
}
