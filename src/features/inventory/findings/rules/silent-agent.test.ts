import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ago, asset, machine, testRule, verdictOf } from '../testing.ts'
import { silentAgent } from './silent-agent.ts'

const on = asset('virtualization', { power: 'on' })
const fresh = asset('configuration', { reportAt: ago(23) })
const old = asset('configuration', { reportAt: ago(25) })

testRule(silentAgent, [
  ['a report that is too old', { machine: machine('virtual', on, old) }, true],
  ['a report that is young enough', { machine: machine('virtual', on, fresh) }, false],
  ['another threshold', { machine: machine('virtual', on, old) }, false, { settings: { hours: 26 } }],
  ['never a report', { machine: machine('virtual', on, asset('configuration', { reportAt: null })) }, true],
  ['the newest of one kind of system counts', { machine: machine('virtual', on, old, fresh) }, false],
  [
    'another kind of system does not stand in',
    { machine: machine('virtual', on, old, asset('monitoring', { reportAt: ago(1) })) },
    true,
  ],
  [
    'switched off in the monitoring',
    { machine: machine('virtual', on, asset('monitoring', { reportAt: ago(99), isMonitored: false })) },
    false,
  ],
  ['systems without reports', { machine: machine('virtual', on, asset('configuration'), asset('monitoring')) }, false],
  ['a machine that is off', { machine: machine('virtual', asset('virtualization', { power: 'off' }), old) }, false],
  ['an active server', { machine: machine('physical', asset('registry', { lifecycle: 'active' }), old) }, true],
  ['a failed server', { machine: machine('physical', asset('registry', { lifecycle: 'failed' }), old) }, false],
  [
    'a virtual machine that nobody sees running',
    { machine: machine('virtual', asset('registry', { lifecycle: 'active' }), old) },
    false,
  ],
])

test('silent-agent: the evidence names the last report and why the machine should run', () => {
  const server = machine('physical', asset('registry', { lifecycle: 'active' }, { status: 'active' }), old)
  assert.deepEqual(verdictOf(silentAgent, { machine: server }), {
    severity: 'warning',
    says: [`configuration: last report ${ago(25)}`, 'registry: active'],
  })
})
