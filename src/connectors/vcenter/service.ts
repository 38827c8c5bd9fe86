import { createHash } from 'node:crypto'
import type { Http, XmlElement } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { at, type Ref, read, textAt } from './soap.ts'

/** The well-known objects of one vCenter, or of a single ESXi host, whose ids differ. */
export type Service = {
  readonly rootFolder: Ref
  readonly propertyCollector: Ref
  readonly viewManager: Ref
  readonly sessionManager: Ref
  /** Not there on some ESXi hosts. */
  readonly eventManager: Ref | undefined
  readonly authorizationManager: Ref | undefined
  readonly version: string
  readonly apiVersion: string
  readonly isVirtualCenter: boolean
  readonly instanceUuid: string | undefined
}

/** Answered without a session too. */
export async function serviceOf(http: Http): Promise<Service> {
  const self = { type: 'ServiceInstance', id: 'ServiceInstance' }
  const [content] = await read(http, { method: 'RetrieveServiceContent', self })
  return {
    rootFolder: needed(content, 'rootFolder', 'Folder'),
    propertyCollector: needed(content, 'propertyCollector', 'PropertyCollector'),
    viewManager: needed(content, 'viewManager', 'ViewManager'),
    sessionManager: needed(content, 'sessionManager', 'SessionManager'),
    eventManager: ref(content, 'eventManager', 'EventManager'),
    authorizationManager: ref(content, 'authorizationManager', 'AuthorizationManager'),
    version: (textAt(content, 'about', 'version') ?? 'unknown').slice(0, 40),
    apiVersion: (textAt(content, 'about', 'apiVersion') ?? '').slice(0, 40),
    isVirtualCenter: textAt(content, 'about', 'apiType') === 'VirtualCenter',
    instanceUuid: textAt(content, 'about', 'instanceUuid'),
  }
}

/** What a session is called in a cursor: its key could be worth something to somebody, its hash is not. */
export function sessionMark(key: string): string {
  return createHash('sha256').update(key).digest('base64url').slice(0, 22)
}

function ref(content: XmlElement | undefined, name: string, type: string): Ref | undefined {
  const id = at(content, name)?.text
  return id ? { type, id } : undefined
}

function needed(content: XmlElement | undefined, name: string, type: string): Ref {
  const found = ref(content, name, type)
  if (!found)
    throw new Problem('upstream-invalid', 'The connected system is not a vCenter: its service content is incomplete')
  return found
}
