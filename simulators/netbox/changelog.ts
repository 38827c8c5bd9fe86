import { makeDice } from '../lib/random.ts'
import { type Collection, type Json, makeCollection } from './collection.ts'

const day = 86_400_000

export type Change = {
  readonly action: 'create' | 'update' | 'delete'
  readonly collection: Collection
  readonly id: number
  readonly before: Json | null
  readonly after: Json | null
  readonly user: { readonly id: number; readonly username: string }
  readonly requestId: string
  readonly message?: string
}

export type Changelog = ReturnType<typeof makeChangelog>

/** `object-changes`: one row per create, update and delete; rows older than `keepDays` vanish (0 keeps all). */
export function makeChangelog({
  now,
  origin,
  path,
  keepDays,
}: {
  now: () => Date
  origin: string
  path: string
  keepDays: number
}) {
  const collection = makeCollection({ path, type: 'core.objectchange', ids: [], make: () => ({}) })

  function record(change: Change, at = now()): Json {
    return collection.insert((id) => ({
      id,
      url: `${origin}/api/${path}/${id}/`,
      display_url: `${origin}/core/changelog/${id}/`,
      display: `${change.collection.type} ${change.id}`,
      time: at.toISOString(),
      user: { id: change.user.id, display: change.user.username, username: change.user.username },
      user_name: change.user.username,
      request_id: change.requestId,
      action: { value: change.action, label: labels[change.action] },
      changed_object_type: change.collection.type,
      changed_object_id: change.id,
      changed_object: change.action === 'delete' ? null : { id: change.id, url: change.after?.['url'] },
      object_repr: String((change.after ?? change.before)?.['display'] ?? ''),
      message: change.message ?? '',
      prechange_data: change.before && plain(change.before),
      postchange_data: change.after && plain(change.after),
    }))
  }
  return {
    record,
    /** The rows that are still kept. */
    current(): Collection {
      const oldest = keepDays === 0 ? 0 : now().getTime() - keepDays * day
      while (
        collection.ids[0] !== undefined &&
        Date.parse(String(collection.row(collection.ids[0])?.['time'])) < oldest
      ) {
        collection.remove(collection.ids[0])
      }
      return collection
    },
    /** A past: `count` rows spread over the time that is kept; every tenth is the deletion of something that is gone. */
    seed(collections: readonly Collection[], count: number, seed: number): void {
      const dice = makeDice(seed + 2)
      const filled = collections.filter(({ ids }) => ids.length > 0)
      if (filled.length === 0) return
      const span = Math.min(keepDays || 90, 90) * day
      for (let i = 0; i < count; i++) {
        const target = dice.pick(filled, 1, i)
        const isDelete = i % 10 === 9
        const id = isDelete ? (target.ids.at(-1) ?? 0) + 1 + i : dice.pick(target.ids, 2, i)
        const at = new Date(now().getTime() - span * (1 - (i + 0.5) / (count + 1)))
        const row = isDelete ? null : { display: target.row(id)?.['display'] }
        const user = { id: 1, username: 'admin' }
        const requestId = `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`
        record(
          { action: isDelete ? 'delete' : 'update', collection: target, id, before: row, after: row, user, requestId },
          at,
        )
      }
    },
  }
}

const labels = { create: 'Created', update: 'Updated', delete: 'Deleted' } as const

/** The changelog keeps values, not nested objects. */
function plain(row: Json): Json {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return [name, value]
      return [name, (value as Json)['value'] ?? (value as Json)['id'] ?? value]
    }),
  )
}
