import { z } from 'zod'
import { connectionAction, type Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { serversOf } from './observe.ts'
import { Done, idOf, ListOf, OneOf, Usage, Volume } from './schema.ts'
import { lists } from './sync.ts'

export const VolumeId = z
  .string()
  .regex(idOf.volume)
  .describe("The volume's id in the VPSA, for example volume-00000012.")
const PoolId = z.string().regex(idOf.pool).describe("The pool's id in the VPSA, for example pool-00010001.")
/** What the VPSA takes as a name: no quotes, no control characters. */
export const Label = z
  .string()
  .trim()
  .min(1)
  .max(120)
  .regex(/^[\w .:()@+-]+$/)
const CapacityGb = z.coerce.number().int().min(1).max(1_000_000)

const VolumeView = z.object({
  id: z.string(),
  name: z.string(),
  status: z.string().nullable(),
  dataType: z.string().nullable(),
  capacityGb: z.number().nullable(),
  allocatedGb: z.number().nullable(),
  pool: z.string().nullable(),
  isEncrypted: z.boolean().nullable(),
  servers: z.array(z.string()),
  createdAt: z.string().nullable(),
})

const listVolumes = connectionAction({
  name: 'vpsa.volumes.list',
  title: 'List volumes of a VPSA',
  description:
    'Asks the storage array itself, now, for its volumes, all or those with an exact name. For a search over all systems use the inventory.',
  access: 'read',
  http: { method: 'GET', path: '/vpsa/volumes' },
  input: {
    name: Label.optional().describe('The exact name of the volume.'),
    type: z.enum(['block', 'file']).optional().describe('Only block volumes, or only file shares.'),
    limit: z.coerce.number().int().min(1).max(200).default(50).describe('How many at most (1 to 200).'),
    cursor: z.coerce.number().int().min(0).max(1_000_000).default(0).describe('`next` of the previous answer.'),
  },
  output: z.object({ items: z.array(VolumeView), next: z.int().nullable() }),
  async run({ name, type, limit, cursor }, { http }) {
    const { path, key, item } = lists.volumes
    const { rows } = await http.get(path, ListOf(key, item), {
      start: cursor,
      limit,
      display_name: name,
      ...(type && { [type === 'block' ? 'showonlyblock' : 'showonlyfile']: 'YES' }),
    })
    return { items: rows.map(shown), next: rows.length >= limit ? cursor + rows.length : null }
  },
})

const getVolume = connectionAction({
  name: 'vpsa.volume.get',
  title: 'Read one volume of a VPSA',
  description:
    'Reads one volume from the storage array, now: size, pool, state, and the servers that it is attached to.',
  access: 'read',
  http: { method: 'GET', path: '/vpsa/volumes/{id}' },
  input: { id: VolumeId },
  output: VolumeView,
  run: async ({ id }, { http }) => shown(await readVolume(http, id)),
})

const createVolume = connectionAction({
  name: 'vpsa.volume.create',
  title: 'Create a volume on a VPSA',
  description:
    'Creates a thin volume in a pool of the storage array. Asked again with the same name, pool and size it creates nothing and answers the volume that is there; the same name with another pool or size is a conflict.',
  access: 'write',
  http: { method: 'POST', path: '/vpsa/volumes' },
  input: {
    name: Label.describe("The new volume's name, not yet taken on this VPSA."),
    pool: PoolId,
    capacityGb: CapacityGb.describe('Size in GB.'),
    type: z.enum(['block', 'file']).default('block').describe('Block volume (iSCSI) or file share (NFS, SMB).'),
    encrypted: z.boolean().optional().describe("Encrypt it or not; the VPSA's own default unless said."),
  },
  output: VolumeView.extend({ created: z.boolean() }),
  async run({ name, pool, capacityGb, type, encrypted }, { http }) {
    const existing = await findByName(http, name)
    if (existing) {
      if (existing.pool_name === pool && existing.virtual_capacity === capacityGb)
        return { ...shown(existing), created: false }
      throw new Problem('conflict', `A volume of that name exists with another pool or size: ${existing.name}`)
    }
    await http.send('POST', '/api/volumes.json', Done, {
      name,
      capacity: `${capacityGb}G`,
      pool,
      block: type === 'block' ? 'YES' : 'NO',
      thin: 'YES',
      attachpolicies: 'NO',
      ...(encrypted !== undefined && { crypt: encrypted ? 'YES' : 'NO' }),
    })
    const volume = await findByName(http, name)
    if (!volume) throw new Problem('upstream-invalid', 'The VPSA said that it created the volume but does not list it')
    return { ...shown(volume), created: true }
  },
})

const expandVolume = connectionAction({
  name: 'vpsa.volume.expand',
  title: 'Expand a volume of a VPSA',
  description:
    'Makes a volume larger. `capacityGb` is the size that it shall have, not what is added, so asking twice changes nothing more. Volumes cannot be made smaller.',
  access: 'write',
  http: { method: 'POST', path: '/vpsa/volumes/{id}/expand' },
  input: { id: VolumeId, capacityGb: CapacityGb.describe('The new size in GB.') },
  output: VolumeView.extend({ previousCapacityGb: z.number(), changed: z.boolean() }),
  async run({ id, capacityGb }, { http }) {
    const volume = await readVolume(http, id)
    const current = volume.virtual_capacity
    if (typeof current !== 'number') throw new Problem('upstream-invalid', `The VPSA does not say the size of ${id}`)
    if (current > capacityGb) throw new Problem('conflict', `${id} has ${current} GB and cannot be made smaller`)
    if (current === capacityGb) return { ...shown(volume), previousCapacityGb: current, changed: false }
    // The API wants what is added, in whole GB.
    const added = Math.ceil(capacityGb - current)
    await http.send('POST', `/api/volumes/${id}/expand.json`, Done, { capacity: `${added}G` })
    return { ...shown(await readVolume(http, id)), previousCapacityGb: current, changed: true }
  },
})

const Things = { volume: 'volumes', pool: 'pools', server: 'servers', controller: 'vcontrollers' } as const

const getPerformance = connectionAction({
  name: 'vpsa.performance.get',
  title: 'Read performance figures of a VPSA',
  description:
    'Reads the latest measurements of one volume, pool, server or controller, oldest first, under the names that the array gives them (for example num_ios, bytes_sec, latency).',
  access: 'read',
  http: { method: 'GET', path: '/vpsa/performance/{kind}/{id}' },
  input: {
    kind: z.enum(['volume', 'pool', 'server', 'controller']).describe('What kind of thing.'),
    id: z.string().max(60).describe("The thing's id in the VPSA, for example pool-00010001."),
    intervalSeconds: z.coerce
      .number()
      .int()
      .refine((value) => [1, 10, 60, 600, 3600, 86_400].includes(value), 'must be 1, 10, 60, 600, 3600 or 86400')
      .default(60)
      .describe('Seconds that one measurement stands for: 1, 10, 60, 600, 3600 or 86400.'),
  },
  output: z.object({
    samples: z.array(z.object({ at: z.string().nullable(), figures: z.record(z.string(), z.number()) })),
  }),
  async run({ kind, id, intervalSeconds }, { http }) {
    if (!idOf[kind].test(id))
      throw new Problem('invalid-input', `This is not the id of a ${kind}`, {
        faults: [{ field: '/id', rule: `must be the id of a ${kind}` }],
      })
    const path = `/api/${Things[kind]}/${id}/performance.json`
    const { rows } = await http.get(path, ListOf('usages', Usage), { interval: intervalSeconds })
    return { samples: rows.slice(-100) }
  },
})

export const volumeActions = [listVolumes, getVolume, createVolume, expandVolume, getPerformance] as const

export function readVolume(http: Http, id: string): Promise<Volume> {
  return http.get(`/api/volumes/${id}.json`, OneOf('volume', Volume))
}

/** The VPSA's filter by name is not trusted to be exact. */
async function findByName(http: Http, name: string): Promise<Volume | undefined> {
  const { path, key, item } = lists.volumes
  const { rows } = await http.get(path, ListOf(key, item), { start: 0, limit: 200, display_name: name })
  return rows.find((row) => row.display_name === name)
}

function shown(row: Volume): z.output<typeof VolumeView> {
  return {
    id: row.name,
    name: row.display_name || row.name,
    status: row.status?.toLowerCase() ?? null,
    dataType: row.data_type ?? null,
    capacityGb: row.virtual_capacity ?? null,
    allocatedGb: row.allocated_capacity ?? null,
    pool: row.pool_name ?? null,
    isEncrypted: row.encryption === 'YES' ? true : row.encryption === 'NO' ? false : null,
    servers: serversOf(row),
    createdAt: row.created_at ?? null,
  }
}
