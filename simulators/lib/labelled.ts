import type { Observation } from '../../src/core/connector.ts'
import { makeEstate } from './estate.ts'
import { makeDice } from './random.ts'

// What five systems report of one company in which everything happens that makes machines hard to tell apart, each observation
// with the machine that it is really of. Matching is measured with it; nothing of it is taken from how matching works.

export const labelledSystems = ['registry', 'virtualization', 'monitoring', 'backup', 'configuration'] as const
export type LabelledSystem = (typeof labelledSystems)[number]

export type Labelled = {
  readonly system: LabelledSystem
  /** The machine that it really is. */
  readonly label: string
  readonly observation: Observation
  /** The system no longer has it: it was seen once and then reported as gone. */
  readonly gone?: true
}

/** Keys of the dice. */
const ask = {
  clone: 1,
  generic: 2,
  style: 3,
  rename: 4,
  replace: 5,
  reuse: 6,
  restore: 7,
  noAddress: 8,
  serial: 9,
  v6: 10,
  tools: 11,
  missing: 12,
  full: 13,
  swap: 14,
  macs: 15,
}

const genericNames = ['web01', 'web02', 'db01', 'db02', 'app01', 'mail', 'proxy', 'backup', 'jump', 'build']

/** About `machines` machines, a fifth of them physical. */
export function makeLabelled({ seed = 1, machines = 5_000 }: { seed?: number; machines?: number } = {}): Labelled[] {
  const dice = makeDice(seed)
  const devices = Math.ceil(machines / 5)
  const estate = makeEstate({ seed, devices, vms: machines - devices })
  const rare = (question: number, index: number, share: number) => dice.part(question, index) < share
  const all: Labelled[] = []

  for (let index = 0; index < machines; index++) {
    const isVm = index >= devices
    const one = isVm ? estate.vm(index - devices) : estate.device(index)
    const form = isVm ? ('virtual' as const) : ('physical' as const)
    const site = estate.site(one.site).code.toUpperCase()
    const label = `m${index}`
    // Some teams call their machines web01 at every site.
    const isGeneric = isVm && rare(ask.generic, index, 0.06)
    const host = isGeneric ? (genericNames[index % genericNames.length] ?? '') : one.hostName
    const domain = isGeneric ? `${site.toLowerCase()}.example.net` : one.fqdn.slice(one.fqdn.indexOf('.') + 1)
    const fqdn = `${host}.${domain}`
    const [address = ''] = one.address.split('/')
    const address6 = `2001:db8:${(index >> 16).toString(16)}:${(index & 0xffff).toString(16)}::1`
    const isDual = rare(ask.v6, index, 0.1)
    // Cloned from another machine with its UUID; the card is new.
    const isClone = isVm && index > devices + 10 && rare(ask.clone, index, 0.03)
    const uuid = isClone
      ? estate.vm(index - devices - 10).uuid
      : isVm
        ? (one as { uuid: string }).uuid
        : (one as { uuid: string }).uuid
    const macs = 'macs' in one ? one.macs : [one.mac]
    const oem =
      ['To be filled by O.E.M.', 'Default string', 'System Serial Number', 'None', '0123456789'][index % 5] ?? ''
    const serial = 'serial' in one ? (rare(ask.serial, index, 0.08) ? oem : one.serial) : undefined
    const oldName = rare(ask.rename, index, 0.01) ? `${host}-old-name` : undefined
    const push = (system: LabelledSystem, more: Partial<Observation>, extra: { gone?: true; label?: string } = {}) => {
      const { label: of = label, ...rest } = extra
      const kind =
        system === 'backup'
          ? 'client'
          : system === 'configuration'
            ? 'node'
            : system === 'monitoring'
              ? 'host'
              : isVm
                ? 'virtual-machine'
                : 'device'
      const observation = { kind, externalId: `${system}-${all.length}`, name: host, attributes: {}, ...more }
      all.push({ system, label: of, observation, ...rest })
    }
    const style = dice.whole(ask.style, index) % 4
    const styled = style === 0 ? host.toUpperCase() : style === 1 ? fqdn : host

    // The registry: a name, a site, an address unless somebody forgot it, the old name of what was renamed.
    const written = rare(ask.noAddress, index, 0.04) ? [] : isDual ? [`${address6}/64`] : [one.address]
    const nameThere = oldName ?? host
    push('registry', {
      name: nameThere,
      site,
      addresses: written,
      ...(serial !== undefined && { serial }),
      machine: { form, hostNames: [nameThere] },
    })
    // The device that was replaced is still there, as leaving, under a new name and with its old serial.
    if (!isVm && rare(ask.replace, index, 0.05))
      push(
        'registry',
        {
          name: `${host}-replaced`,
          site,
          serial: `OLD${serial}`,
          addresses: [],
          machine: { form, hostNames: [`${host}-replaced`] },
        },
        { label: `${label}-old` },
      )
    // An address that a machine of the past had: it is in the registry still, under that machine's name.
    if (isVm && rare(ask.reuse, index, 0.04))
      push(
        'registry',
        { name: `past-${index}`, site, addresses: [one.address], machine: { form, hostNames: [`past-${index}`] } },
        { label: `${label}-past` },
      )

    // The virtualization knows its guests, without addresses when their tools do not run, and its hosts.
    const isHypervisor = 'role' in one && one.role === 'hypervisor'
    const known = rare(ask.tools, index, 0.85)
    if (isVm || isHypervisor) {
      const vm = {
        name: styled.split('.')[0] ?? host,
        site: `dc-${site.toLowerCase()}`,
        addresses: known ? [address, ...(isDual ? [address6] : []), 'fe80::250:56ff:fe00:1'] : [],
        ...(serial !== undefined && { serial }),
        machine: { form, hostNames: [host], uuids: [uuid], macs, ...(known && { fqdns: [fqdn] }) },
      }
      // Restored from a backup: the one before is gone, and had another UUID or the same.
      if (isVm && rare(ask.restore, index, 0.02)) {
        const before = index % 2 === 0 ? uuid : '4200ffff-0000-4000-a000-'.concat(index.toString(16).padStart(12, '0'))
        push('virtualization', { ...vm, machine: { ...vm.machine, uuids: [before] } }, { gone: true })
      }
      push('virtualization', vm)
    }

    // The monitoring: a name in somebody's style, an address; now and then only the address.
    const isNameless = !isGeneric && rare(ask.missing, index, 0.01)
    push('monitoring', {
      name: isNameless ? address : styled,
      addresses: [isDual && style === 2 ? address6 : address],
      machine: { hostNames: [isNameless ? address : styled] },
    })
    if (!isVm && 'role' in one && one.role !== 'hypervisor' && one.role !== 'server') continue

    // The backup: a client's name, in every second full, with its address.
    const isFull = rare(ask.full, index, 0.5)
    push('backup', {
      name: isFull ? fqdn : host.toUpperCase(),
      addresses: rare(ask.noAddress, index + machines, 0.2) && !isGeneric ? [] : [address],
      machine: { hostNames: [isFull ? fqdn : host.toUpperCase()] },
    })

    // The configuration management runs on the machine itself. Its hardware is what the BIOS says, in one byte order or the other.
    if (isHypervisor) continue
    const said = rare(ask.swap, index, 0.3) ? swapped(uuid) : uuid
    const asSerial = `VMware-${uuid.replaceAll('-', '').replace(/(..)(?=.)/g, '$1 ')}`
    const partner = Math.floor(index / 50) * 50
    push('configuration', {
      name: fqdn,
      // A cluster's address hops between two machines, and both list it; every container host has the same bridge.
      addresses: [
        address,
        ...(isDual ? [address6] : []),
        '172.17.0.1',
        '127.0.0.1',
        ...(index - partner < 2 ? [`10.254.${partner >> 12}.${(partner >> 4) & 255}`] : []),
      ],
      serial: serial ?? (isClone ? '' : asSerial),
      machine: {
        form,
        fqdns: [fqdn],
        uuids: rare(ask.macs, index, 0.05) ? ['00000000-0000-0000-0000-000000000000'] : [said],
        macs: [...macs, '02:42:ac:11:00:02', '00:00:5e:00:01:0a'],
      },
    })
    if (index === partner)
      push(
        'monitoring',
        {
          name: `vip-${index}`,
          addresses: [`10.254.${partner >> 12}.${(partner >> 4) & 255}`],
          machine: { hostNames: [`vip-${index}`] },
        },
        { label: `vip-${index}` },
      )
  }
  return all
}

function swapped(uuid: string): string {
  const [a = '', b = '', c = '', ...rest] = uuid.split('-')
  const turn = (hex: string) => (hex.match(/../g) ?? []).reverse().join('')
  return [turn(a), turn(b), turn(c), ...rest].join('-')
}
