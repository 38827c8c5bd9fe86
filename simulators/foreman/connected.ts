import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { foreman } from '../../src/connectors/foreman/index.ts'
import { type Context, handlerOf } from '../../src/core/action.ts'
import { connectTo } from '../../src/testing/connector.ts'
import { makeCompany } from '../lib/company.ts'
import { type Foreman, type ForemanOptions, startForeman } from './start.ts'

// The connector, the real HTTP client and the simulated Foreman, over TLS.

export const company = { seed: 2, devices: 240, vms: 100 }
/** What must never come out of the connector, whatever is read. */
export const canaries = /canary-/

export async function connect(t: TestContext, options: ForemanOptions = {}, pageSize = 40) {
  const sim = await startForeman({ truth: makeCompany(company), ...options })
  t.after(sim.stop)
  return { sim, ...as(t, sim, 'reader', { pageSize }) }
}

export function as(
  t: TestContext,
  sim: Foreman,
  account: keyof Foreman['credentials'],
  more: object = {},
  caPem = sim.caPem,
) {
  const credential = sim.credentials[account]
  return connectTo(t, foreman, { config: { ...sim.config, ...more }, credential, caPem })
}

export async function call(connection: ReturnType<typeof connectTo>, name: string, input: Record<string, unknown>) {
  const action = foreman.actions.find((one) => one.name === name)
  assert.ok(action, name)
  const parsed = action.input.parse({ connection: 'fm', ...input })
  const context: Context = {
    principal: { id: 'usr_1', kind: 'user', name: 'Ana', bindings: [], version: '1' },
    door: 'http',
    requestId: 'req_1',
    signal: connection.context.signal,
    connection: { id: 'con_1', config: connection.config, http: connection.http },
  }
  return action.output.parse(await handlerOf(action).run(parsed, context)) as Record<string, unknown>
}
