import type { Connector } from '../core/connector.ts'
import { netbox } from './netbox/index.ts'
import { vcenter } from './vcenter/index.ts'

/** Every kind of system that Atlas can connect to. A new one is a folder and a line here. */
export const connectors = [netbox, vcenter] as const satisfies readonly Connector[]
