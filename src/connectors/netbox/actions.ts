import { z } from 'zod'
import { connectionAction } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { baseOf, kinds, models } from './models.ts'
import { Created, Device } from './schema.ts'

const Id = z
  .string()
  .regex(/^[1-9]\d{0,17}$/)
  .describe("The object's id in NetBox.")
const KindOf = z.enum(kinds).describe('What kind of object.')
const Words = z.string().trim().min(1).max(100)
const Slug = z.string().regex(/^[-\w]{1,100}$/)
const Etag = z.string().regex(/^(?:W\/)?"[\x21\x23-\x7e]{0,200}"$/)
const deviceStatuses = ['offline', 'active', 'planned', 'staged', 'failed', 'inventory', 'decommissioning'] as const
const DeviceStatus = z.enum(deviceStatuses)

const NetboxObject = z.object({
  kind: z.string(),
  id: z.string(),
  name: z.string(),
  status: z.string().optional(),
  site: z.string().optional(),
  serial: z.string().optional(),
  addresses: z.array(z.string()).readonly().optional(),
  url: z.string().optional(),
  attributes: z.record(
    z.string(),
    z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string()).readonly()]),
  ),
  relations: z
    .array(z.object({ type: z.string(), kind: z.string(), externalId: z.string() }))
    .readonly()
    .optional(),
})

const findDevices = connectionAction({
  name: 'netbox.devices.find',
  title: 'Find devices in NetBox',
  description:
    'Asks NetBox itself, now, for devices by name, serial, status, site, role or tenant. For a search over all systems use the inventory.',
  access: 'read',
  http: { method: 'GET', path: '/netbox/devices' },
  input: {
    q: Words.optional().describe('Free text: name, serial, asset tag, description, primary address.'),
    name: Words.optional().describe('Part of the name, in any case.'),
    serial: Words.optional().describe('The exact serial number.'),
    status: DeviceStatus.optional().describe('Status in NetBox.'),
    site: Slug.optional().describe("The site's slug, for example ams1."),
    role: Slug.optional().describe("The role's slug, for example hypervisor."),
    tenant: Slug.optional().describe("The tenant's slug."),
    limit: z.coerce.number().int().min(1).max(200).default(25).describe('How many at most (1 to 200).'),
    cursor: Id.optional().describe('`next` of the previous answer.'),
  },
  output: z.object({ items: z.array(NetboxObject), next: z.string().nullable(), total: z.int().nullable() }),
  async run({ q, name, serial, status, site, role, tenant, limit, cursor }, { http, config }) {
    // Each name here is a filter that NetBox knows. It ignores others, and would then answer with every device.
    const filters = { q, name__ic: name, serial, status, site, role, tenant }
    const page = await models.device.list(http, baseOf(config), {
      ...filters,
      ordering: 'id',
      limit,
      ...(cursor !== undefined && { id__gt: cursor }),
    })
    const last = page.results.at(-1)
    return {
      items: page.results.map((row) => shown(row.observation)),
      next: page.next !== null && last ? String(last.id) : null,
      total: page.count,
    }
  },
})

const getObject = connectionAction({
  name: 'netbox.object.get',
  title: 'Read one object from NetBox',
  description:
    'Reads one device, virtual machine, address, prefix, site, rack, cluster or tenant from NetBox, now. `etag` names the state that was read.',
  access: 'read',
  http: { method: 'GET', path: '/netbox/objects/{kind}/{id}' },
  input: { kind: KindOf, id: Id },
  output: NetboxObject.extend({ etag: z.string().optional() }),
  async run({ kind, id }, { http, config }) {
    const { observation, etag } = await models[kind].get(http, baseOf(config), id)
    return { ...shown(observation), ...(etag !== undefined && { etag }) }
  },
})

const addJournalEntry = connectionAction({
  name: 'netbox.journal.add',
  title: 'Add a journal entry in NetBox',
  description: "Writes a note to the journal of one object in NetBox, where the object's page shows it.",
  access: 'write',
  http: { method: 'POST', path: '/netbox/journal' },
  input: {
    kind: KindOf,
    id: Id,
    comment: z.string().trim().min(1).max(10_000).describe('The note. NetBox renders it as Markdown.'),
    level: z.enum(['info', 'success', 'warning', 'danger']).default('info').describe('How the note is marked.'),
  },
  output: z.object({ id: z.string(), url: z.string() }),
  async run({ kind, id, comment, level }, { http, config }) {
    const entry = await http.send('POST', '/api/extras/journal-entries/', Created, {
      assigned_object_type: models[kind].type,
      assigned_object_id: Number(id),
      kind: level,
      comments: comment,
    })
    return { id: String(entry.id), url: `${baseOf(config)}/extras/journal-entries/${entry.id}/` }
  },
})

const setDeviceStatus = connectionAction({
  name: 'netbox.device.set-status',
  title: "Set a device's status in NetBox",
  description:
    'Changes the status of one device in NetBox, only if nobody changed the device meanwhile. Pass the `etag` of netbox.object.get to hold it to the state that you saw.',
  access: 'write',
  http: { method: 'POST', path: '/netbox/devices/{id}/status' },
  input: {
    id: Id,
    status: DeviceStatus.describe('The new status.'),
    etag: Etag.optional().describe('The `etag` that netbox.object.get gave.'),
    reason: z.string().trim().min(1).max(200).optional().describe("Why: kept in NetBox's changelog."),
  },
  output: z.object({ id: z.string(), status: z.string(), previousStatus: z.string(), changed: z.boolean() }),
  async run({ id, status, etag, reason }, { http }) {
    const path = `/api/dcim/devices/${id}/`
    const { body, headers } = await http.read(path, Device, { exclude: 'config_context' })
    const current = headers['etag']
    if (etag !== undefined && etag !== current) {
      throw new Problem('precondition-failed', `Device ${id} changed in NetBox since it was read`)
    }
    const previousStatus = String(body.status?.value ?? '')
    if (previousStatus === status) return { id, status, previousStatus, changed: false }

    const device = await http.send(
      'PATCH',
      path,
      Device,
      { status, ...(reason !== undefined && { changelog_message: reason }) },
      // Versions before 4.6 send no ETag and do not compare it.
      current === undefined ? {} : { headers: { 'if-match': current } },
    )
    return { id, status: String(device.status?.value ?? status), previousStatus, changed: true }
  },
})

export const actions = [findDevices, getObject, addJournalEntry, setDeviceStatus] as const

function shown({ externalId, ...observation }: Awaited<ReturnType<typeof models.device.get>>['observation']) {
  return { ...observation, id: externalId }
}
