import { z } from 'zod'
import { connectionAction, type Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { serversOf } from './observe.ts'
import { Done, idOf, ListOf, OneOf, Snapshot } from './schema.ts'
import { Label, readVolume, VolumeId } from './volume-actions.ts'

const SnapshotId = z.string().regex(idOf.snapshot).describe("The snapshot's id in the VPSA, for example snap-00000044.")
const VolumeName = z
  .string()
  .max(500)
  .describe("The volume's name, repeated exactly, as a confirmation that the right thing is deleted.")

const createSnapshot = connectionAction({
  name: 'vpsa.snapshot.create',
  title: 'Take a snapshot of a volume',
  description:
    'Takes a snapshot of one volume of the storage array. When the volume has a snapshot of that name already, nothing is taken and that one is answered with `created: false`.',
  access: 'write',
  http: { method: 'POST', path: '/vpsa/volumes/{volume}/snapshots' },
  input: { volume: VolumeId, name: Label.describe("The snapshot's name, new for this volume.") },
  output: z.object({
    id: z.string(),
    name: z.string(),
    volume: z.string(),
    createdAt: z.string().nullable(),
    created: z.boolean(),
  }),
  async run({ volume, name }, { http }) {
    // A snapshot belongs to the consistency group that each volume has for itself.
    const { cg_name: group } = await readVolume(http, volume)
    if (!group) throw new Problem('upstream-invalid', `The VPSA does not say the consistency group of ${volume}`)
    const path = `/api/consistency_groups/${group}/snapshots.json`
    const existing = await findSnapshot(http, path, name)
    if (existing) return { ...shown(existing, volume, name), created: false }

    await http.send('POST', path, Done, { display_name: name })
    const taken = await findSnapshot(http, path, name)
    if (!taken) throw new Problem('upstream-invalid', 'The VPSA said that it took the snapshot but does not list it')
    return { ...shown(taken, volume, name), created: true }
  },
})

const deleteVolume = connectionAction({
  name: 'vpsa.volume.delete',
  title: 'Delete a volume of a VPSA',
  description:
    "Deletes one volume and its data. Its name must be repeated, and it must not be attached to a server. Where the pool's recycle bin is on, the VPSA keeps it there for a while.",
  access: 'destroy',
  http: { method: 'DELETE', path: '/vpsa/volumes/{id}' },
  input: { id: VolumeId, confirmVolumeName: VolumeName },
  output: z.object({ id: z.string(), name: z.string(), deleted: z.literal(true) }),
  async run({ id, confirmVolumeName }, { http }) {
    const volume = await readVolume(http, id)
    confirm(volume.display_name, confirmVolumeName)
    const attached = serversOf(volume).length
    if (attached > 0)
      throw new Problem(
        'conflict',
        `${id} is attached to ${attached} server${attached === 1 ? '' : 's'}: detach it first`,
      )
    await http.send('DELETE', `/api/volumes/${id}.json`, Done, { force: 'NO' })
    return { id, name: confirmVolumeName, deleted: true as const }
  },
})

const deleteSnapshot = connectionAction({
  name: 'vpsa.snapshot.delete',
  title: 'Delete a snapshot of a volume',
  description: 'Deletes one snapshot for good. The name of the volume that it was taken of must be repeated.',
  access: 'destroy',
  http: { method: 'DELETE', path: '/vpsa/snapshots/{id}' },
  input: { id: SnapshotId, confirmVolumeName: VolumeName },
  output: z.object({ id: z.string(), volume: z.string(), deleted: z.literal(true) }),
  async run({ id, confirmVolumeName }, { http }) {
    const snapshot = await http.get(`/api/snapshots/${id}.json`, OneOf('snapshot', Snapshot))
    confirm(snapshot.volume_display_name, confirmVolumeName)
    await http.send('DELETE', `/api/snapshots/${id}.json`, Done, {})
    return { id, volume: confirmVolumeName, deleted: true as const }
  },
})

export const snapshotActions = [createSnapshot, deleteVolume, deleteSnapshot] as const

/** Nothing is deleted on a guess: a name that the VPSA does not say confirms nothing. */
function confirm(actual: string | null | undefined, repeated: string): void {
  if (actual && actual === repeated) return
  throw new Problem('invalid-input', "The repeated name is not the volume's name; nothing was deleted", {
    faults: [{ field: '/confirmVolumeName', rule: "must be the volume's name" }],
  })
}

async function findSnapshot(http: Http, path: string, name: string): Promise<Snapshot | undefined> {
  const { rows } = await http.get(path, ListOf('snapshots', Snapshot), { start: 0, limit: 1000 })
  return rows.find((row) => row.display_name === name)
}

function shown(row: Snapshot, volume: string, name: string) {
  return { id: row.name, name, volume, createdAt: row.created_at ?? null }
}
