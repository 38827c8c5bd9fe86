import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { type RunningSystem, startCompany } from '../../simulators/company.ts'
import { makeCompany } from '../../simulators/lib/company.ts'
import { type Atlas, startAtlas } from '../../src/testing/server.ts'
import { sync } from './steps.ts'

/** A running server with twelve simulated systems of one company connected to it. */
export async function connectCompany(t: TestContext, copies: number, expiring: readonly string[] = []) {
  const truth = makeCompany({ seed: 7, devices: 120, vms: 120, copies })
  const systems = await startCompany(truth, { expiring })
  t.after(() => Promise.all(systems.map(({ stop }) => stop())))
  const atlas = await startAtlas(t)
  const ids = new Map<string, string>()
  for (const system of systems) ids.set(system.name, await connect(atlas, system))
  const syncAll = async (mode: 'auto' | 'full') => {
    for (const [name, id] of ids) {
      const run = await sync(atlas, id, mode)
      assert.equal(run.state, 'succeeded', `${name}: ${JSON.stringify(run)}`)
    }
  }
  return { truth, systems, atlas, ids, syncAll }
}

async function connect(atlas: Atlas, { connector, name, config, credential, caPem }: RunningSystem): Promise<string> {
  const body = { connector, name, config, credential, caCertificate: caPem, schedule: null }
  const { id } = await atlas.api<{ id: string }>('POST', '/connections', body)
  const check = await atlas.api<{ ok: boolean }>('POST', `/connections/${id}/check`, {})
  assert.equal(check.ok, true, `${name}: ${JSON.stringify(check)}`)
  return id
}
