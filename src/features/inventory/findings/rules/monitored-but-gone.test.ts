import { asset, machine, testRule, witness } from '../testing.ts'
import { monitoredButGone } from './monitored-but-gone.ts'

const watched = asset('monitoring', { isMonitored: true })
const gone = { staleAt: '2026-01-01T00:00:00.000Z' }

testRule(monitoredButGone, [
  ['only the monitoring has it', { machine: machine(null, watched) }, true],
  ['the others have it no more', { machine: machine('virtual', watched, asset('registry', {}, gone)) }, true],
  [
    'it is switched off in the monitoring',
    { machine: machine(null, asset('monitoring', { isMonitored: false })) },
    false,
  ],
  ['the registry has it', { machine: machine(null, watched, asset('registry')) }, false],
  ['the virtualization has it', { machine: machine(null, watched, asset('virtualization')) }, false],
  ['an agent on it reports', { machine: machine(null, watched, asset('configuration')) }, false],
  ['nobody has it', { machine: machine(null, asset('monitoring', {}, gone)) }, false],
  [
    'without virtualization it could be there',
    { machine: machine(null, watched) },
    false,
    { connections: [witness('monitoring'), witness('registry')] },
  ],
])
