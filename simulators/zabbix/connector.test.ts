import { test } from 'node:test'
import { zabbix } from '../../src/connectors/zabbix/index.ts'
import { connectTo } from '../../src/testing/connector.ts'
import { startZabbix } from './start.ts'

test('x', async (t) => {
  for (const version of ['6.0', '7.0', '7.2'] as const) {
    const sim = await startZabbix({ version })
    t.after(sim.stop)
    for (const credential of [sim.credential, sim.login('reader')]) {
      const c = connectTo(t, zabbix, { ...sim, credential })
      console.log(await c.check())
      const { observations } = await c.sync()
      console.log(
        Object.entries(Object.groupBy(observations, (o) => o.kind)).map(([k, v]) => [k, v?.length]),
        sim.requests.length,
        new Set(sim.calls.map((c) => `${c.method} ${c.auth}`)),
      )
      if (version === '7.2')
        console.log(
          JSON.stringify(
            observations.filter((o, i) => i % 100 === 0 || (o.kind === 'problem' && i % 8 === 0)),
            null,
            1,
          ),
        )
    }
  }
})
