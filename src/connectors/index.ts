import type { Connector } from '../core/connector.ts'
import { confluence } from './confluence/index.ts'
import { jira } from './jira/index.ts'
import { netbox } from './netbox/index.ts'

/** Every kind of system that Atlas can connect to. A new one is a folder and a line here. */
export const connectors = [confluence, jira, netbox] as const satisfies readonly Connector[]
