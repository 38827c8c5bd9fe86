import type { Door, Principal } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import { newId } from '../../lib/ids.ts'

type Call = {
  readonly door: Door
  readonly principal: Principal
  readonly requestId: string
  readonly signal: AbortSignal
}

type Parts = {
  readonly connections: {
    /** Connections whose schedule has come round. */
    readonly due: () => Promise<readonly string[]>
    /** Sync runs that wait, oldest first. */
    readonly queued: () => Promise<readonly string[]>
    /** Picks up what dead processes left. */
    readonly recover: () => Promise<void>
    readonly onQueued: (listener: () => void) => () => void
  }
  /** Exports that are made again and again. */
  readonly exports?: {
    /** Plans whose time has come. */
    readonly due: () => Promise<readonly string[]>
    /** Ends what is past its time. */
    readonly sweep: () => Promise<void>
  }
  readonly backups?: {
    /** Whether it is time for the next one. */
    readonly due: () => Promise<boolean>
    /** Ends what dead processes left. */
    readonly recover: () => Promise<void>
  }
  /** What the audit log no longer keeps. */
  readonly retention?: { readonly isDue: () => Promise<boolean> }
  readonly invoke: (call: Call, name: string, rawInput: unknown) => Promise<unknown>
  readonly systemPrincipal: Principal
  readonly log: {
    readonly info: (fields: object, message: string) => void
    readonly error: (fields: object, message: string) => void
  }
  /** How often it looks for due and abandoned work. A run queued in this process is seen at once. */
  readonly everyMs?: number
  readonly atOnce?: number
  /** Findings are looked for after syncs, and at least this often. */
  readonly judgeEveryMs?: number
  readonly now?: () => Date
}

/** The door of the clock: queues the syncs that are due and carries out what is queued, through the gate like any caller. */
export function makeSchedule(parts: Parts) {
  const { connections, invoke, systemPrincipal, log, everyMs = 5_000, atOnce = 2 } = parts
  const stopping = new AbortController()
  const running = new Map<string, Promise<void>>()
  let timer: NodeJS.Timeout | undefined
  let looking: Promise<void> | undefined
  let lookAgain = false
  let stopListening = () => {}
  const judge = makeJudge(parts, (name) => ask(name, {}))
  const keeper = makeKeeper(parts, (name) => ask(name, {}))

  const call = { door: 'schedule', principal: systemPrincipal, signal: stopping.signal } as const
  const ask = (name: string, input: unknown) => invoke({ ...call, requestId: newId('req') }, name, input)

  /** Looks for work now; a call while it looks makes it look once more. */
  function look(): void {
    if (stopping.signal.aborted) return
    if (looking !== undefined) {
      lookAgain = true
      return
    }
    looking = lookOnce()
      .catch((error: unknown) => log.error({ err: error }, 'The schedule could not look for work'))
      .finally(() => {
        looking = undefined
        if (!lookAgain) return
        lookAgain = false
        look()
      })
  }

  async function lookOnce(): Promise<void> {
    await connections.recover()
    for (const connection of await connections.due())
      await start('connections.syncs.start', { connection, mode: 'auto' }, 'A due sync could not be queued')
    await lookForPlans(parts, start)
    await lookForBackup(parts, start)
    keeper.soon()
    for (const sync of await connections.queued()) {
      if (running.size >= atOnce || stopping.signal.aborted) return
      if (!running.has(sync)) running.set(sync, carryOut(sync))
    }
    // Syncs that wait are read first: what they bring would be judged again.
    if (running.size === 0) judge.soon()
  }

  /** Asks for what is due. Another process, or a person, may be faster: a conflict is no fault. */
  async function start(name: string, input: object, fault: string): Promise<void> {
    try {
      await ask(name, input)
    } catch (error) {
      if (!(error instanceof Problem && error.type === 'conflict')) log.error({ err: error, ...input }, fault)
    }
  }

  async function carryOut(sync: string): Promise<void> {
    try {
      await ask('connections.syncs.run', { sync })
      judge.wanted()
      // Only after a good end: a run that the gate refuses stays queued, and must wait for the next tick.
      look()
    } catch (error) {
      const type = error instanceof Problem ? error.type : 'internal'
      // The run itself says what happened to it; here it is only noted.
      if (type !== 'cancelled' && type !== 'conflict')
        log.error({ err: error, sync }, 'A sync run ended with a problem')
    } finally {
      running.delete(sync)
    }
  }

  return {
    start(): void {
      stopListening = connections.onQueued(look)
      timer = setInterval(look, everyMs)
      timer.unref()
      look()
    },

    /** Interrupts what runs and waits for its end. */
    async stop(): Promise<void> {
      clearInterval(timer)
      stopListening()
      stopping.abort()
      await looking
      await Promise.all([...running.values(), judge.ended(), keeper.ended()])
    },
  }
}

type Start = (name: string, input: object, fault: string) => Promise<void>

/** A fault here must not keep the syncs waiting. */
async function lookForPlans({ exports, log }: Parts, start: Start): Promise<void> {
  try {
    await exports?.sweep()
    for (const plan of (await exports?.due()) ?? [])
      await start('exports.plans.run', { plan }, 'A planned export could not be started')
  } catch (error) {
    log.error({ err: error }, 'The schedule could not look for planned exports')
  }
}

/** Nor must one here. */
async function lookForBackup({ backups, log }: Parts, start: Start): Promise<void> {
  try {
    await backups?.recover()
    if (await backups?.due()) await start('system.backups.create', {}, 'A planned backup could not be started')
  } catch (error) {
    log.error({ err: error }, 'The schedule could not look for a planned backup')
  }
}

/** Has the audit log delete what it no longer keeps. A run takes a while, and nothing waits for it. */
function makeKeeper({ retention, log }: Parts, ask: (name: string) => Promise<unknown>) {
  let keeping: Promise<void> | undefined

  async function apply(): Promise<void> {
    try {
      if (await retention?.isDue()) await ask('audit.retention.apply')
    } catch (error) {
      const type = error instanceof Problem ? error.type : 'internal'
      // Somebody else is at it, or the server stops.
      if (type !== 'conflict' && type !== 'cancelled')
        log.error({ err: error }, 'The retention of the audit log could not be applied')
    }
  }

  return {
    soon(): void {
      keeping ??= apply().finally(() => {
        keeping = undefined
      })
    },
    ended: async (): Promise<void> => keeping,
  }
}

const retryMs = 30_000

/** Looks for findings when something was read since the last time, and once an hour because time alone makes some. */
function makeJudge(
  { log, judgeEveryMs = 3_600_000, now = () => new Date() }: Parts,
  ask: (name: string) => Promise<unknown>,
) {
  let isWanted = false
  let nextAt = Number.NEGATIVE_INFINITY
  let notBefore = Number.NEGATIVE_INFINITY
  let judging: Promise<void> | undefined

  async function judge(): Promise<void> {
    isWanted = false
    try {
      await ask('inventory.findings.evaluate')
      nextAt = now().getTime() + judgeEveryMs
    } catch (error) {
      isWanted = true
      notBefore = now().getTime() + retryMs
      const type = error instanceof Problem ? error.type : 'internal'
      // Somebody else is at it, or the server stops.
      if (type !== 'conflict' && type !== 'cancelled') log.error({ err: error }, 'Findings could not be looked for')
    }
  }

  return {
    wanted(): void {
      isWanted = true
    },
    soon(): void {
      const at = now().getTime()
      if (judging || at < notBefore || !(isWanted || at >= nextAt)) return
      judging = judge().finally(() => {
        judging = undefined
      })
    },
    ended: async (): Promise<void> => judging,
  }
}
