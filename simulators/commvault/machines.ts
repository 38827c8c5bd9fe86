import type { Truth } from '../lib/truth.ts'

const day = 86_400

export type Machine = {
  /** Place among all machines: servers first, then virtual machines. */
  readonly place: number
  readonly isVm: boolean
  readonly hostName: string
  readonly fqdn: string
  readonly platform: string
  readonly site: number
  /** As the vendor's administrators wrote it: short, some in upper case. */
  readonly clientName: string
  readonly guid: string
  /** The hypervisor that a virtual machine runs on. */
  readonly host: string
  readonly diskBytes: number
}

export type Machines = ReturnType<typeof makeMachines>

export const clientIdOf = (place: number) => 100_000 + place
export const hypervisorIdOf = (site: number) => 100 + site

/** What the backup system knows of the truth's machines: a few numbers a machine in memory, the rest made when asked for. */
export function makeMachines(truth: Truth) {
  const { estate } = truth
  const servers = [...truth.devices('backup')].map(({ index }) => index)
  const vms = [...truth.vms('backup')].map(({ index }) => index)
  const count = servers.length + vms.length
  /** End of the last good backup in epoch seconds; 0 for never. */
  const lastGood = new Float64Array(count)
  const fails = new Uint8Array(count)
  const sites = new Uint16Array(count)
  for (let place = 0; place < count; place++) {
    const { backupAt, backupFails, site } = truthOf(place)
    lastGood[place] = backupAt ? Math.floor(backupAt.getTime() / 1000) : 0
    fails[place] = backupFails ? 1 : 0
    sites[place] = site
  }

  function truthOf(place: number) {
    return place < servers.length
      ? truth.device(servers[place] as number)
      : truth.vm(vms[place - servers.length] as number)
  }

  function machine(place: number): Machine {
    const isVm = place >= servers.length
    const { hostName, fqdn, platform, site, uuid } = truthOf(place)
    const vm = isVm ? estate.vm(vms[place - servers.length] as number) : undefined
    return {
      place,
      isVm,
      hostName,
      fqdn,
      platform,
      site,
      clientName: place % (isVm ? 5 : 3) === 0 ? hostName.toUpperCase() : hostName,
      // vCenter's instance UUID, which is another one than the BIOS UUID of the truth.
      guid: `50${uuid.slice(2)}`,
      host: vm ? estate.device(vm.host).fqdn : '',
      diskBytes: (vm?.diskGb ?? 0) * 1024 ** 3,
    }
  }

  return {
    count,
    servers: servers.length,
    sites: estate.counts.sites,
    siteCode: (site: number) => estate.site(site).code,
    machine,
    lastGood,
    fails,
    siteOf: sites,
    /** Whether an agent inside the virtual machine makes it a client of its own too. */
    hasAgent: (place: number) => place < servers.length || place % 16 === 0,
    placeOf(hostName: string): number {
      for (let place = 0; place < count; place++) if (truthOf(place).hostName === hostName) return place
      throw new RangeError(`no machine ${hostName}`)
    },
    now: Math.floor(truth.now.getTime() / 1000),
    day,
  }
}
