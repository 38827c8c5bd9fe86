import type { Facts, Observation } from '../../core/connector.ts'
import { basisOf, placed, relationsOf, type Scene, textOf } from './basis.ts'
import { isOwnAddress, isOwnName } from './marks.ts'
import type { Found } from './properties.ts'
import { all, booleanAt, numberAt, textAt, timeAt } from './soap.ts'

export function observeHost(scene: Scene, found: Found): Observation {
  const { placement, ...basis } = basisOf(scene, found)
  const { properties } = found
  const system = properties.get('hardware.systemInfo')
  const hardware = properties.get('summary.hardware')
  const status = textOf(found, 'runtime.connectionState')
  const uuid = textAt(system, 'uuid') ?? textAt(hardware, 'uuid')
  const serial = serialOf(found)
  const memory = numberAt(hardware, 'memorySize')
  const names = namesOf(found)
  return {
    ...basis,
    ...(status !== undefined && { status: status.toLowerCase() }),
    ...(serial !== undefined && { serial }),
    addresses: addressesOf(found),
    attributes: {
      vendor: textAt(system, 'vendor') ?? textAt(hardware, 'vendor') ?? null,
      model: textAt(system, 'model') ?? textAt(hardware, 'model') ?? null,
      platform: textAt(properties.get('config.product'), 'fullName') ?? null,
      cpuCores: numberAt(hardware, 'numCpuCores') ?? null,
      memoryMib: memory === undefined ? null : Math.round(memory / 1_048_576),
      inMaintenance: booleanAt(properties.get('runtime.inMaintenanceMode')) ?? null,
      ...placed(placement),
    },
    relations: relationsOf(placement),
    machine: {
      form: 'physical',
      ...(uuid !== undefined && { uuids: [uuid] }),
      macs: all(properties.get('config.network.pnic'), 'PhysicalNic').flatMap((nic) => textAt(nic, 'mac') ?? []),
      hostNames: names,
      fqdns: names.filter((name) => name.includes('.')),
    },
    facts: factsOf(found),
  }
}

/** A host whose connection is lost is told as vCenter knew it last, which is no fact. */
function factsOf(found: Found): Facts {
  if (textOf(found, 'runtime.connectionState') !== 'connected') return {}
  const state = textOf(found, 'runtime.powerState')
  const since = timeAt(found.properties.get('runtime.bootTime'))
  if (state === 'poweredOff' || state === 'standBy') return { power: 'off' }
  return state === 'poweredOn' ? { power: 'on', ...(since !== undefined && { powerSince: since }) } : {}
}

const serialTypes = ['ServiceTag', 'SerialNumberTag']
const noSerial = /^(?:none|unknown|default string|not specified|to be filled by o\.e\.m\.?|0+|\s*)$/i

/** `serialNumber` is there since vSphere 6.7; before it, what the manufacturer put among the other tags. */
function serialOf({ properties }: Found): string | undefined {
  const system = properties.get('hardware.systemInfo')
  const tags = [
    ...all(system, 'otherIdentifyingInfo'),
    ...all(properties.get('summary.hardware'), 'otherIdentifyingInfo'),
  ]
  const tagged = serialTypes.flatMap((type) =>
    tags
      .filter((tag) => textAt(tag, 'identifierType', 'key') === type)
      .flatMap((tag) => textAt(tag, 'identifierValue') ?? []),
  )
  return [textAt(system, 'serialNumber') ?? '', ...tagged].map((one) => one.trim()).find((one) => !noSerial.test(one))
}

/** The name in vCenter, which is often an address, and the one that the host has itself. */
function namesOf(found: Found): string[] {
  const dns = found.properties.get('config.network.dnsConfig')
  const short = textAt(dns, 'hostName')
  const domain = textAt(dns, 'domainName')
  const own = short === undefined ? [] : [domain === undefined ? short : `${short}.${domain}`]
  const names = [textOf(found, 'name') ?? '', ...own].filter(isOwnName)
  return [...new Set(names.map((name) => name.toLowerCase()))]
}

function addressesOf({ properties }: Found): string[] {
  const nics = all(properties.get('config.network.vnic'), 'HostVirtualNic')
  return nics.flatMap((nic) => textAt(nic, 'spec', 'ip', 'ipAddress') ?? []).filter(isOwnAddress)
}
