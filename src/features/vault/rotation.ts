import { isRotated } from './known.ts'
import { whyNotLiving } from './state.ts'
import type { Age, SecretRow, VaultRows, VaultStore } from './store.ts'

/** When nothing else is set: changed every 90 days, reminded of from the 75th. */
const usual = { days: 90, remindAfterDays: 75 }
const dayMs = 86_400_000

export type RotationState = 'never' | 'ok' | 'soon' | 'overdue'

/** How long a value may be used. `days` null: as long as one likes. */
export type Rotation = { readonly days: number | null; readonly remindAfterDays: number | null }

type Dates = Pick<SecretRow, 'remind_at' | 'due_at'>

/** The days that hold for a secret: its own, else the usual ones; none for what is not rotated, such as user names. */
export function rotationOf({ kind, rotation_days, remind_days }: SecretRow): Rotation {
  const days = rotation_days ?? (isRotated(kind) ? usual.days : 0)
  if (days === 0) return { days: null, remindAfterDays: null }
  return { days, remindAfterDays: remind_days ?? Math.floor((days * usual.remindAfterDays) / usual.days) }
}

/**
 * When a value of that age is to be changed. How old a value is that is kept elsewhere, only its place can tell; where it does
 * not, there is a date only if somebody set days, counted from when the reference was stored.
 */
export function datesOf(secret: SecretRow, { scheme, changed_at, created_at }: Age): Dates {
  const { days, remindAfterDays } = rotationOf(secret)
  const since = scheme === null ? created_at : (changed_at ?? (secret.rotation_days === null ? null : created_at))
  const after = (count: number | null) =>
    count === null || since === null ? null : new Date(Date.parse(since) + count * dayMs).toISOString()
  return { remind_at: after(remindAfterDays), due_at: after(days) }
}

export function stateAt({ remind_at, due_at }: Dates, now: string): RotationState {
  if (due_at === null || remind_at === null) return 'never'
  if (due_at <= now) return 'overdue'
  return remind_at <= now ? 'soon' : 'ok'
}

export function makeRotation({ store, now }: { readonly store: VaultStore; readonly now: () => Date }) {
  /** How many secrets there are, are to be changed soon, and should have been. */
  const rotationCounts = () => store.countDue(now().toISOString())

  return { setRotation, dueAt, rotationCounts }

  /** Sets a secret's own days; `days` undefined: the usual ones again, 0: never. Counted from when its current value was made. */
  async function setRotation(id: string, wish: { days?: number | undefined; remindAfterDays?: number | undefined }) {
    const done = await store.transaction(async (tx) => {
      const row = await tx.setRotation(id, {
        rotation_days: wish.days ?? null,
        remind_days: wish.remindAfterDays ?? null,
      })
      if (row) await tx.setDates(id, datesOf(row, await ageOf(tx, row)))
      return row !== undefined
    })
    if (!done) throw await whyNotLiving(store, id)
  }

  /** When the first of these secrets is to be changed; null when none is, or when they are gone. */
  async function dueAt(ids: readonly string[]): Promise<string | null> {
    const rows = await Promise.all(ids.map((id) => store.secret(id)))
    const dates = rows.flatMap((row) => (row && row.destroyed_at === null && row.due_at !== null ? [row.due_at] : []))
    return dates.sort()[0] ?? null
  }
}

/** Of the current version. */
export async function ageOf(tx: VaultRows, { id, current_version, created_at }: SecretRow): Promise<Age> {
  const versions = await tx.versions(id)
  return versions.find(({ version }) => version === current_version) ?? { scheme: null, changed_at: null, created_at }
}
