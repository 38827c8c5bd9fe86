import type { Attribute, MachineMarks, Observation } from '../../core/connector.ts'
import type { Inventory, Node } from './schema.ts'
import { looksSecret } from './secret-names.ts'

type Values = Inventory[number]

/** The facts that are read, structured ones first, then what Facter 2 and 3 call the same. Nothing else of a node is asked for. */
const known = {
  fqdn: ['networking.fqdn', 'fqdn'],
  hostname: ['networking.hostname', 'hostname'],
  address: ['networking.ip', 'ipaddress'],
  address6: ['networking.ip6', 'ipaddress6'],
  mac: ['networking.mac', 'macaddress'],
  uuid: ['dmi.product.uuid', 'uuid'],
  serial: ['dmi.product.serial_number', 'serialnumber'],
  manufacturer: ['dmi.manufacturer', 'manufacturer'],
  model: ['dmi.product.name', 'productname'],
  osName: ['os.name', 'operatingsystem'],
  osRelease: ['os.release.full', 'operatingsystemrelease'],
  kernel: ['kernel'],
  kernelRelease: ['kernelrelease'],
  architecture: ['os.architecture', 'architecture'],
  virtual: ['virtual'],
  isVirtual: ['is_virtual'],
  memoryBytes: ['memory.system.total_bytes'],
  processors: ['processors.count', 'processorcount'],
  puppetVersion: ['puppetversion'],
} as const satisfies Record<string, readonly string[]>
type Known = keyof typeof known

/** Paths for the `extract` of an inventory query. */
export function factFields(further: readonly string[]): string[] {
  return [...new Set([...Object.values(known).flat(), ...further])].map((path) => `facts.${path}`)
}

/** What the inventory keeps of a node. `values` is undefined for a node that never sent facts. */
export function observeNode(node: Node, values: Values | undefined, further: readonly string[]): Observation {
  const fact = (name: Known) => textOf(known[name].map((path) => values?.[`facts.${path}`]).find(isSaid))
  const serial = fact('serial')
  const addresses = [fact('address'), fact('address6')].filter((one) => one !== undefined && !/^fe80:/i.test(one))
  return {
    kind: 'node',
    externalId: node.certname,
    name: node.certname,
    ...(node.latest_report_status && { status: node.latest_report_status.toLowerCase() }),
    ...(serial !== undefined && !isPlaceholder(serial) && { serial }),
    ...(addresses.length > 0 && { addresses: addresses as string[] }),
    attributes: attributes(node, fact, values, further),
    machine: marks(node, fact),
    facts: { reportAt: utc(node.report_timestamp) ?? null },
  }
}

type Fact = (name: Known) => string | undefined

function marks({ certname }: Node, fact: Fact): MachineMarks {
  const names = [fact('fqdn'), certname].flatMap((name) => (name ? [name.toLowerCase()] : []))
  const fqdns = [...new Set(names)].filter((name) => /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)+$/.test(name))
  const hostName = fact('hostname')
  const uuid = fact('uuid')
  const mac = fact('mac')
  const isVirtual = fact('isVirtual')
  return {
    ...((isVirtual === 'true' || isVirtual === 'false') && { form: isVirtual === 'true' ? 'virtual' : 'physical' }),
    ...(fqdns.length > 0 && { fqdns }),
    ...(hostName && { hostNames: [hostName] }),
    ...(uuid && !isPlaceholder(uuid) && { uuids: [uuid] }),
    ...(mac && { macs: [mac] }),
  }
}

function attributes(node: Node, fact: Fact, values: Values | undefined, further: readonly string[]) {
  const memory = Number(fact('memoryBytes') ?? Number.NaN)
  const processors = Number(fact('processors') ?? Number.NaN)
  const said: Record<string, Attribute | undefined> = {
    fqdn: fact('fqdn'),
    environment: node.report_environment ?? node.catalog_environment ?? node.facts_environment,
    operatingSystem: [fact('osName'), fact('osRelease')].filter(isSaid).join(' '),
    kernel: fact('kernel'),
    kernelRelease: fact('kernelRelease'),
    architecture: fact('architecture'),
    manufacturer: fact('manufacturer'),
    model: fact('model'),
    virtual: fact('virtual'),
    macAddress: fact('mac'),
    memoryMib: Number.isNaN(memory) ? undefined : Math.round(memory / 1_048_576),
    processors: Number.isNaN(processors) ? undefined : processors,
    puppetVersion: fact('puppetVersion'),
    noop: node.latest_report_noop,
    cachedCatalog: node.cached_catalog_status === 'not_used' ? undefined : node.cached_catalog_status,
    factsAt: utc(node.facts_timestamp),
    lastReport: utc(node.report_timestamp),
  }
  for (const path of further) {
    const value = textOf(values?.[`facts.${path}`])
    if (value !== undefined && !looksSecret(value)) said[`fact.${path}`] = value.slice(0, 500)
  }
  return Object.fromEntries(
    Object.entries(said).filter(([, value]) => value !== undefined && value !== null && value !== ''),
  ) as Record<string, Attribute>
}

function isSaid(value: unknown): boolean {
  return value !== undefined && value !== null && value !== ''
}

/** Structured facts have no one text. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value.trim() || undefined
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}

/** What firmware says where nobody entered anything: the same on many machines. */
function isPlaceholder(text: string): boolean {
  return /^(?:[0.\s-]+|none|n\/?a|not (?:specified|applicable|available|settable)|unknown|default string|system serial number|to be filled.*)$/i.test(
    text,
  )
}

export function utc(text: string | null | undefined): string | undefined {
  const at = new Date(text ?? Number.NaN)
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString()
}
