import { ago, testRule, witness } from '../testing.ts'
import { credentialOverdue } from './credential-overdue.ts'

const due = (hours: number) => ({ connection: witness('registry', { credentialDueAt: ago(hours) }) })

testRule(credentialOverdue, [
  ['due an hour ago', due(1), true],
  ['due in an hour', due(-1), false],
  ['within the days of grace', due(23), false, { settings: { days: 1 } }],
  ['past the days of grace', due(25), true, { settings: { days: 1 } }],
  ['no rotation', { connection: witness('registry', { credentialDueAt: null }) }, false],
  ['nothing known', { connection: witness('registry') }, false],
  [
    'also of a connection that was never read',
    { connection: witness('registry', { credentialDueAt: ago(1), lastFullAt: null }) },
    true,
  ],
])
