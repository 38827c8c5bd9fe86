import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Principal } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import { makeSchedule } from './schedule.ts'

const system: Principal = { id: 'sys', kind: 'system', name: 'Schedule', bindings: [], version: '1' }

/** A queue that behaves like the room's, and a gate that notes who asked for what. */
function world(t: TestContext, { everyMs = 10_000 } = {}) {
  const state = {
    due: [] as string[],
    queued: [] as string[],
    asked: [] as string[],
    judged: 0,
    judge: async () => {},
    at: 0,
    errors: [] as string[],
    recovered: 0,
    swept: 0,
    plans: [] as string[],
    isBackupDue: false as boolean | Error,
    isDue: false,
    kept: 0,
    keep: async () => {},
    runPlan: (async () => {}) as (plan: string) => Promise<void>,
    atOnce: 0,
    mostAtOnce: 0,
    run: (async () => {}) as (sync: string, signal: AbortSignal) => Promise<void>,
  }
  const listeners = new Set<() => void>()
  const schedule = makeSchedule({
    connections: {
      due: async () => state.due,
      queued: async () => [...state.queued],
      recover: async () => {
        state.recovered++
      },
      onQueued(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    },
    exports: {
      due: async () => [...state.plans],
      sweep: async () => {
        if (state.swept++ < 0) throw new Error('the disk is gone')
      },
    },
    retention: { isDue: async () => state.isDue },
    backups: {
      recover: async () => {},
      due: async () => {
        if (state.isBackupDue instanceof Error) throw state.isBackupDue
        return state.isBackupDue
      },
    },
    async invoke(call, name, input) {
      if (name === 'system.backups.create') {
        state.isBackupDue = false
        state.asked.push(`${call.door} ${call.principal.id} ${name}`)
        return
      }
      if (name === 'audit.retention.apply') {
        state.isDue = false
        state.kept++
        return state.keep()
      }
      if (name === 'inventory.findings.evaluate') {
        state.judged++
        return state.judge()
      }
      const { sync, connection, plan } = input as { sync?: string; connection?: string; plan?: string }
      state.asked.push(`${call.door} ${call.principal.id} ${name} ${sync ?? connection ?? plan}`)
      if (plan !== undefined) {
        state.plans = state.plans.filter((id) => id !== plan)
        return state.runPlan(plan)
      }
      if (name === 'connections.syncs.start') {
        state.due = state.due.filter((id) => id !== connection)
        state.queued.push(`syn_${connection}`)
        return
      }
      state.mostAtOnce = Math.max(state.mostAtOnce, ++state.atOnce)
      try {
        await state.run(sync ?? '', call.signal)
        state.queued = state.queued.filter((id) => id !== sync)
      } finally {
        state.atOnce--
      }
    },
    systemPrincipal: system,
    log: { info() {}, error: (_fields, message) => state.errors.push(message) },
    everyMs,
    now: () => new Date(state.at),
  })
  t.after(schedule.stop)
  return { state, schedule, nudge: () => [...listeners].map((listener) => listener()), listeners }
}

async function until(isTrue: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !isTrue(); i++) await sleep(5)
  assert.ok(isTrue(), 'it did not come true')
}

test('what is due is queued, and what is queued is carried out, both through the gate as the system', async (t) => {
  const { state, schedule } = world(t)
  state.due = ['a']
  schedule.start()
  await until(() => state.asked.length === 2 && state.queued.length === 0)

  assert.deepEqual(state.asked, ['schedule sys connections.syncs.start a', 'schedule sys connections.syncs.run syn_a'])
  assert.ok(state.recovered >= 1)
})

test('a run queued meanwhile starts at once, and at most two run together', async (t) => {
  const { state, schedule, nudge } = world(t)
  state.run = () => sleep(20)
  schedule.start()
  await sleep(10)
  state.queued = ['syn_1', 'syn_2', 'syn_3', 'syn_4', 'syn_5']
  nudge()
  await until(() => state.queued.length === 0)

  assert.equal(state.mostAtOnce, 2)
  assert.equal(state.asked.length, 5)
})

test('a run that the gate refuses is logged and waits for the next look instead of spinning', async (t) => {
  const { state, schedule } = world(t)
  state.queued = ['syn_1']
  state.run = () => Promise.reject(new Problem('audit-unavailable'))
  schedule.start()
  await until(() => state.errors.length > 0)
  await sleep(50)

  assert.deepEqual([state.asked.length, state.errors], [1, ['A sync run ended with a problem']])
})

test('looking goes on after a fault, and finds what is due at the next tick', async (t) => {
  const { state, schedule } = world(t, { everyMs: 20 })
  state.run = () => Promise.reject(new Error('a bug'))
  state.queued = ['syn_1']
  schedule.start()
  await until(() => state.errors.length >= 2)
  state.run = async () => {}
  await until(() => state.queued.length === 0)
  state.due = ['b']
  await until(() => state.asked.at(-1) === 'schedule sys connections.syncs.run syn_b')
})

test('a plan that is due is run through the gate as the system, and what is past its time is swept', async (t) => {
  const { state, schedule } = world(t)
  state.plans = ['pln_1', 'pln_2']
  schedule.start()
  await until(() => state.plans.length === 0)

  assert.deepEqual(state.asked, ['schedule sys exports.plans.run pln_1', 'schedule sys exports.plans.run pln_2'])
  assert.ok(state.swept >= 1)
})

test('a plan that cannot be run is logged, one that another runs is not, and the syncs go on', async (t) => {
  const { state, schedule } = world(t)
  state.plans = ['pln_1', 'pln_2']
  state.queued = ['syn_1']
  state.runPlan = async (plan) => {
    throw new Problem(plan === 'pln_1' ? 'denied' : 'conflict')
  }
  schedule.start()
  await until(() => state.queued.length === 0)

  assert.deepEqual(state.errors, ['A planned export could not be started'])
})

test('the retention of the audit log is applied when it is due, and its faults keep nothing waiting', async (t) => {
  const { state, schedule, nudge } = world(t)
  state.isDue = true
  state.queued = ['syn_1']
  state.keep = async () => {
    throw new Problem('internal')
  }
  schedule.start()
  await until(() => state.queued.length === 0 && state.errors.length === 1)
  nudge()
  await sleep(20)

  assert.deepEqual([state.kept, state.errors], [1, ['The retention of the audit log could not be applied']])
})

test('a fault of the exports keeps no sync waiting', async (t) => {
  const { state, schedule } = world(t)
  state.swept = -9
  state.queued = ['syn_1']
  schedule.start()
  await until(() => state.queued.length === 0)

  assert.ok(state.errors.includes('The schedule could not look for planned exports'))
})

test('stopping interrupts what runs, waits for it, and starts nothing more', async (t) => {
  const { state, schedule, nudge, listeners } = world(t)
  let ended = false
  state.run = (_sync, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        setTimeout(() => {
          ended = true
          reject(new Problem('cancelled'))
        }, 20)
      })
    })
  state.queued = ['syn_1']
  schedule.start()
  await until(() => state.atOnce === 1)

  await schedule.stop()
  assert.deepEqual([ended, state.errors, listeners.size], [true, [], 0])
  state.queued = ['syn_2']
  nudge()
  await sleep(20)
  assert.equal(state.asked.length, 1)
})

test('findings are looked for when nothing waits to be read: at the start, after a sync, every hour, and again after a fault', async (t) => {
  const { state, schedule, nudge } = world(t)
  state.queued = ['syn_1']
  const judged: number[] = []
  state.run = async () => void judged.push(state.judged)
  schedule.start()
  await until(() => state.judged === 1)
  nudge()
  await sleep(20)
  assert.deepEqual([judged, state.judged], [[0], 1], 'after the sync that waited, once')

  state.queued = ['syn_2']
  nudge()
  await until(() => state.judged === 2)
  assert.deepEqual(judged, [0, 1])

  state.judge = async () => {
    throw new Problem('conflict')
  }
  state.at += 3_600_000
  nudge()
  await until(() => state.judged === 3)
  nudge()
  await sleep(20)
  assert.equal(state.judged, 3, 'not at once again')
  state.judge = async () => {}
  state.at += 30_000
  nudge()
  await until(() => state.judged === 4)
  assert.deepEqual(state.errors, [], 'somebody else was at it')
})

test('a backup that is due is asked for once, by Atlas itself, and a fault there keeps no sync waiting (claims: A27)', async (t) => {
  const { state, schedule, nudge } = world(t)
  state.isBackupDue = true
  schedule.start()
  await until(() => state.asked.length > 0)
  nudge()
  state.isBackupDue = new Error('no database')
  state.queued = ['syn_1']
  nudge()
  await until(() => state.asked.length > 1)

  assert.deepEqual(state.asked, ['schedule sys system.backups.create', 'schedule sys connections.syncs.run syn_1'])
  assert.ok(state.errors.includes('The schedule could not look for a planned backup'))
})
