import { ago, testRule, thing } from '../testing.ts'
import { oldSnapshot } from './old-snapshot.ts'

const of = (days: number) => ({ createdAt: ago(days * 24) })

testRule(oldSnapshot, [
  ['15 days', { thing: thing('snapshot', 'virtualization', of(15)) }, true],
  ['13 days', { thing: thing('snapshot', 'virtualization', of(13)) }, false],
  ['another threshold', { thing: thing('snapshot', 'virtualization', of(13)) }, true, { settings: { days: 12 } }],
  ['of a storage system', { thing: thing('snapshot', 'storage', of(15)) }, false],
  ['nobody knows when it was made', { thing: thing('snapshot', 'virtualization') }, false],
  ['another old thing', { thing: thing('datastore', 'virtualization', of(15)) }, false],
])
