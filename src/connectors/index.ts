import type { Connector } from '../core/connector.ts'
import { commvault } from './commvault/index.ts'
import { confluence } from './confluence/index.ts'
import { foreman } from './foreman/index.ts'
import { jira } from './jira/index.ts'
import { kimai } from './kimai/index.ts'
import { netbox } from './netbox/index.ts'
import { puppetdb } from './puppetdb/index.ts'
import { vcenter } from './vcenter/index.ts'
import { zabbix } from './zabbix/index.ts'
import { zadaraObject } from './zadara-object/index.ts'
import { zadaraVpsa } from './zadara-vpsa/index.ts'
import { zammad } from './zammad/index.ts'

/** Every kind of system that Atlas can connect to. A new one is a folder and a line here. */
export const connectors = [
  commvault,
  confluence,
  foreman,
  jira,
  kimai,
  netbox,
  puppetdb,
  vcenter,
  zabbix,
  zadaraObject,
  zadaraVpsa,
  zammad,
] as const satisfies readonly Connector[]
