import type { Principal } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import { newId } from '../../lib/ids.ts'
import { invalid, viewOf } from './export.ts'
import type { FormatName } from './formats.ts'
import type { ExportsParts, Limits } from './parts.ts'
import type { Runner } from './runner.ts'
import type { ExportRow, Profile, Store } from './store.ts'

const dayMs = 86_400_000
const everything = { type: 'inventory', id: '*' }

export type Order = {
  readonly name?: string | undefined
  readonly dataset: string
  readonly params: Readonly<Record<string, unknown>>
  readonly format: FormatName
  readonly profile: Profile
  readonly keepDays: number
}

type Parts = Pick<ExportsParts, 'datasets' | 'may' | 'now'> & {
  readonly store: Store
  readonly runner: Runner
  readonly limits: Limits
}

export type Starting = ReturnType<typeof makeStarting>

/** Starts runs, with the rights that the principal has now. */
export function makeStarting({ datasets, may, store, runner, limits, now }: Parts) {
  /** What an order means, or why it cannot be. @throws Problem invalid-input, denied */
  function check(principal: Principal, { dataset: name, params, format }: Order) {
    const dataset = Object.hasOwn(datasets, name) ? datasets[name] : undefined
    if (!dataset) throw invalid('/dataset', `is none of ${Object.keys(datasets).join(', ')}`)
    const closed = dataset.reads.find((action) => !may(principal, action, everything))
    if (closed !== undefined) throw new Problem('denied', `This export needs ${closed}, which you may not`)
    const parsed = dataset.params.strict().safeParse(params)
    const [issue] = parsed.error?.issues ?? []
    if (!parsed.success) throw invalid(`/params/${issue?.path.join('/')}`, issue?.message.slice(0, 300) ?? '')
    const sheets = (signal: AbortSignal) => dataset.sheets(parsed.data as never, signal)
    if (format === 'csv' && sheets(new AbortController().signal).length > 1)
      throw invalid('/format', 'of these several tables must be xlsx or jsonl, or choose one with its filter')
    return sheets
  }

  return {
    check,

    /** Starts a run and answers at once. Whoever an agent works for may read what it made. */
    async create(principal: Principal, order: Order, more: { plan?: string; readers?: readonly string[] } = {}) {
      const sheets = check(principal, order)
      const at = now()
      const created = at.toISOString()
      const readers = [...(more.readers ?? []), ...(principal.onBehalfOf === undefined ? [] : [principal.onBehalfOf])]
      const row: ExportRow = {
        ...unfinished,
        id: newId('exp', at.getTime()),
        name: order.name ?? `${order.dataset} ${created.slice(0, 10)}`,
        owner_id: principal.id,
        owner_name: principal.name,
        plan_id: more.plan ?? null,
        dataset: order.dataset,
        params: JSON.stringify(order.params),
        format: order.format,
        profile: order.profile,
        runner: runner.me,
        beat_at: created,
        created_at: created,
        expires_at: new Date(at.getTime() + order.keepDays * dayMs).toISOString(),
      }
      if (!(await store.add(row, readers, limits)))
        throw new Problem(
          'conflict',
          `At most ${limits.running} exports run at once and ${limits.kept} are kept for each person; remove one first`,
        )
      runner.start(row, sheets)
      return viewOf(row, { principal, readers: [...new Set(readers)], now: created })
    },
  }
}

const unfinished = {
  state: 'running',
  row_count: 0,
  byte_count: null,
  sha256: null,
  problem: null,
  ready_at: null,
} as const
