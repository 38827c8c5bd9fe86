import { severities } from './features/inventory/findings/rule.ts'

// Words that say nothing about whose estate it is. Systems may use others, also names; those are left out of a sanitised export.

/** Kinds of assets, as connectors name them. */
export const kindWords = words(`
  activity backup bucket circuit client cluster configuration-item contract controller customer datacenter datastore device disk
  folder group host hypervisor interface ip-address issue job library location media-agent network node page plan pool portgroup
  prefix problem project rack resource-pool schedule server service site snapshot space storage-policy storage-pool switch tenant
  ticket timesheet trigger user virtual-machine vlan volume
`)

/** What systems call the state of a thing. */
export const statusWords = words(`
  active available blocked closed completed connected container critical created decommissioning degraded deleted deprecated
  disabled disconnected done down enabled error expired failed failure faulted healthy idle inactive info information inventory
  maintenance monitored new normal notresponding offline off ok on online open paused pending planned powered-off powered-on
  problem ready reserved resolved retired running spare staged started stopped success succeeded suspended unavailable
  unconfigured unknown unmonitored unreachable up warning changed unchanged
`)

export const formWords = words('physical virtual')
export const powerWords = words('on off suspended')
export const severityWords: ReadonlySet<string> = new Set(severities)

function words(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/))
}
