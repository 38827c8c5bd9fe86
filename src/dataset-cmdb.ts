import { z } from 'zod'
import { type AssetParts, assetPages } from './dataset-assets.ts'
import { formWords, powerWords, statusWords } from './dataset-words.ts'
import { type Dataset, defineDataset } from './features/exports/dataset.ts'
import type { Cell, Column, Row, Sheet } from './features/exports/table.ts'
import type { MachineAsset, MachineView } from './features/inventory/machines/view.ts'
import type { AssetRow } from './features/inventory/store-assets.ts'

type Parts = Pick<AssetParts, 'inventory' | 'connectionNames'> & {
  /** Ids of the connections that say what there should be. */
  readonly registries: () => Promise<readonly string[]>
  /** All machines, in pages. */
  readonly machines: () => AsyncIterable<readonly MachineView[]>
}

const tabs = ['devices', 'virtual-machines', 'merged'] as const

/** The registry's devices and virtual machines as a workbook, and the machines that all systems together know. */
export function cmdbDataset(parts: Parts): Dataset {
  return defineDataset({
    title: 'CMDB',
    describe:
      'The registry’s devices and virtual machines with model, place, addresses and owner; Merged has each machine once, with what all systems know of it.',
    params: z.strictObject({
      sheet: z.enum(tabs).optional().describe('Only this table; without it, all of them.'),
    }),
    reads: ['inventory.assets.search', 'inventory.machines.search'],
    sheets: ({ sheet }, signal) =>
      tabs.filter((one) => sheet === undefined || sheet === one).map((one) => makeSheet[one](parts, signal)),
  })
}

const makeSheet: Record<(typeof tabs)[number], (parts: Parts, signal: AbortSignal) => Sheet> = {
  devices: (parts, signal) => registrySheet(parts, signal, { name: 'Devices', kind: 'device', own: deviceColumns }),
  'virtual-machines': (parts, signal) =>
    registrySheet(parts, signal, { name: 'Virtual machines', kind: 'virtual-machine', own: vmColumns }),
  merged: ({ machines }, signal) => ({
    name: 'Merged',
    columns: mergedColumns,
    rows: () => mergedRows(machines, signal),
  }),
}

const name = (key: string, title: string) => ({ key, title, type: 'text', holds: 'name' }) as const
const free = (key: string, title: string) => ({ key, title, type: 'text', holds: 'free' }) as const
const address = (key: string, title: string) => ({ key, title, type: 'text', holds: 'address' }) as const
const number = (key: string, title: string) => ({ key, title, type: 'number' }) as const
const flag = (key: string, title: string) => ({ key, title, type: 'flag' }) as const
const time = (key: string, title: string) => ({ key, title, type: 'time' }) as const
const serial = { key: 'serial', title: 'Serial', type: 'text', holds: 'serial' } as const
const status = { key: 'status', title: 'Status', type: 'text', holds: 'label', words: statusWords } as const

/** Columns between the common ones; each is the attribute of its name. */
const deviceColumns: readonly Column[] = [
  name('role', 'Role'),
  name('manufacturer', 'Manufacturer'),
  name('model', 'Model'),
  { ...serial, key: 'assetTag', title: 'Asset tag' },
  name('location', 'Location'),
  name('rack', 'Rack'),
  number('position', 'Position'),
  name('cluster', 'Cluster'),
  name('platform', 'Platform'),
  address('primaryAddress', 'Primary address'),
  address('managementAddress', 'Management address'),
  name('tenant', 'Tenant'),
]
const vmColumns: readonly Column[] = [
  name('role', 'Role'),
  name('cluster', 'Cluster'),
  name('host', 'Host'),
  name('platform', 'Platform'),
  number('vcpus', 'vCPUs'),
  number('memoryMb', 'Memory (MB)'),
  number('diskMb', 'Disk (MB)'),
  address('primaryAddress', 'Primary address'),
  name('tenant', 'Tenant'),
]

const before: readonly Column[] = [name('name', 'Name'), status, name('site', 'Site'), serial]
const after: readonly Column[] = [
  address('addresses', 'Addresses'),
  free('description', 'Description'),
  free('tags', 'Tags'),
  name('system', 'System'),
  time('firstSeenAt', 'First seen'),
  time('lastSeenAt', 'Last seen'),
  free('url', 'Link'),
]

type Kind = { readonly name: string; readonly kind: string; readonly own: readonly Column[] }

function registrySheet(parts: Parts, signal: AbortSignal, { name, kind, own }: Kind): Sheet {
  async function* rows(): AsyncGenerator<readonly Row[]> {
    const names = await parts.connectionNames()
    for (const source of await parts.registries()) {
      const filter = { kinds: [kind], source, statuses: [], sites: [], stale: false }
      for await (const page of assetPages(parts.inventory, { filter, sort: 'name' }, signal))
        yield page.map((asset) => registryRow(asset, own, names.get(source) ?? asset.connector))
    }
  }
  return { name, columns: [...before, ...own, ...after], rows }
}

function registryRow(asset: AssetRow, own: readonly Column[], system: string): Row {
  const attributes = JSON.parse(asset.attributes) as MachineAsset['attributes']
  return [
    asset.name,
    asset.status,
    asset.site,
    asset.serial,
    ...own.map(({ key }) => plain(attributes[key])),
    (JSON.parse(asset.addresses) as string[]).join(', '),
    plain(attributes['description']),
    plain(attributes['tags']),
    system,
    asset.first_seen_at,
    asset.last_seen_at,
    asset.url,
  ]
}

const mergedColumns: readonly Column[] = [
  name('name', 'Name'),
  { key: 'form', title: 'Form', type: 'text', holds: 'label', words: formWords },
  name('site', 'Site'),
  status,
  serial,
  address('addresses', 'Addresses'),
  name('model', 'Model'),
  name('platform', 'Platform'),
  name('tenant', 'Tenant'),
  { key: 'power', title: 'Power', type: 'text', holds: 'label', words: powerWords },
  flag('inRegistry', 'In registry'),
  flag('inVirtualization', 'In virtualization'),
  flag('isMonitored', 'Monitored'),
  flag('inBackup', 'In backup'),
  time('backupAt', 'Last good backup'),
  flag('inConfiguration', 'In configuration management'),
  time('reportAt', 'Last report'),
  number('systems', 'Systems'),
  time('lastSeenAt', 'Last seen'),
  free('url', 'Link'),
  name('id', 'Id'),
]

async function* mergedRows(machines: Parts['machines'], signal: AbortSignal): AsyncGenerator<readonly Row[]> {
  for await (const page of machines()) {
    signal.throwIfAborted()
    yield page.map((machine) => mergedRow(machine)).filter((row) => row !== undefined)
  }
}

/** Undefined for a machine that no system has any more. */
function mergedRow({ id, name, form, site, assets }: MachineView): Row | undefined {
  const live = assets.filter(({ staleAt }) => staleAt === null)
  if (live.length === 0) return undefined
  const of = (subject: MachineAsset['subjects'][number]) => live.filter(({ subjects }) => subjects.includes(subject))
  const [registry, monitoring, backup] = [of('registry'), of('monitoring'), of('backup')]
  // The registry is asked first for what a machine is.
  const ranked = [...registry, ...live.filter((asset) => !registry.includes(asset))]
  const attribute = (key: string) => plain(first(ranked, ({ attributes }) => attributes[key]))
  return [
    name,
    form,
    site,
    registry[0]?.status ?? null,
    first(ranked, ({ serial }) => serial) ?? null,
    [...new Set(live.flatMap(({ addresses }) => addresses))].join(', '),
    attribute('model'),
    attribute('platform'),
    attribute('tenant'),
    first([...of('virtualization'), ...live], ({ facts }) => facts.power) ?? null,
    registry.length > 0,
    of('virtualization').length > 0,
    monitoring.some(({ facts }) => facts.isMonitored !== false),
    backup.length > 0,
    latest(backup, ({ facts }) => facts.backupAt),
    of('configuration').length > 0,
    latest(live, ({ facts }) => facts.reportAt),
    new Set(live.map(({ connection }) => connection)).size,
    latest(live, ({ lastSeenAt }) => lastSeenAt),
    first(ranked, ({ url }) => url) ?? null,
    id,
  ]
}

function first<T>(assets: readonly MachineAsset[], read: (asset: MachineAsset) => T | null | undefined): T | undefined {
  for (const asset of assets) {
    const value = read(asset)
    if (value !== null && value !== undefined) return value
  }
  return undefined
}

/** ISO times in UTC, of one length, compare as texts. */
function latest(
  assets: readonly MachineAsset[],
  read: (asset: MachineAsset) => string | null | undefined,
): string | null {
  return (
    assets
      .flatMap((asset) => read(asset) ?? [])
      .sort()
      .at(-1) ?? null
  )
}

function plain(value: MachineAsset['attributes'][string] | undefined): Cell {
  if (value === undefined) return null
  return Array.isArray(value) ? value.join(', ') : (value as Cell)
}
