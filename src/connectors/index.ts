import type { Connector } from '../core/connector.ts'
import { commvault } from './commvault/index.ts'
import { kimai } from './kimai/index.ts'
import { netbox } from './netbox/index.ts'
import { zammad } from './zammad/index.ts'

/** Every kind of system that Atlas can connect to. A new one is a folder and a line here. */
export const connectors = [commvault, kimai, netbox, zammad] as const satisfies readonly Connector[]
