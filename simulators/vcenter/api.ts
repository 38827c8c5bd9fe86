import type { XmlElement } from '../../src/core/connector.ts'
import { parseXml } from '../../src/lib/xml.ts'
import type { Reply, SimRequest } from '../lib/server.ts'
import { VimFault } from './fault.ts'
import type { Inventory } from './inventory.ts'
import { type Answer, checkPrivilege, type makeMethods } from './methods.ts'
import { rootFolder } from './places.ts'
import type { makeSessions, Session } from './sessions.ts'
import { escaped, type ManagedObject, type Ref, references, refTag, tag, text, typed } from './values.ts'
import { child, children, refIn, textIn } from './xml.ts'

/** One call as it came in: its name, on what, and the texts of its plain arguments. Never those of a login. */
export type LoggedCall = {
  readonly method: string
  readonly self: string
  readonly args: Readonly<Record<string, string>>
}

type Parts = {
  readonly inventory: Inventory
  readonly sessions: ReturnType<typeof makeSessions>
  readonly methods: ReturnType<typeof makeMethods>
  readonly settle: () => void
  /** Methods that every account is refused. */
  readonly denied: ReadonlySet<string>
  readonly version: string
  readonly calls: LoggedCall[]
  /** Told of each call before it is answered, so that a test can act in between. */
  readonly heard: (method: string) => void
}

const instanceUuid = '5a0e0e5e-7a1b-4c55-9d7a-000000000001'
const managers = {
  rootFolder,
  propertyCollector: { type: 'PropertyCollector', id: 'propertyCollector' },
  viewManager: { type: 'ViewManager', id: 'ViewManager' },
  sessionManager: { type: 'SessionManager', id: 'SessionManager' },
  authorizationManager: { type: 'AuthorizationManager', id: 'AuthorizationManager' },
  eventManager: { type: 'EventManager', id: 'EventManager' },
} as const

/** Answers `POST /sdk`. */
export function makeApi(parts: Parts) {
  const { inventory, sessions, methods, denied, calls } = parts

  function answer(request: SimRequest): Reply {
    const call = callIn(request.body)
    if (!call) return soap(500, fault(new VimFault('InvalidRequest', 'The request is not understood.')))
    const self = refIn(child(call, '_this'))
    const isLogin = call.name === 'Login'
    calls.push({ method: call.name, self: self.id, args: isLogin ? {} : textsOf(call) })
    parts.heard(call.name)
    if (call.name === 'RetrieveServiceContent') return done(call.name, serviceContent(parts.version))
    if (isLogin) return login(call)
    const held = sessions.find(request.headers.cookie)
    if (request.fault === 'session-ends' && held) sessions.open.delete(held.cookie)
    if (!held || request.fault === 'session-ends') throw notAuthenticated(self)
    if (call.name === 'Logout') {
      sessions.open.delete(held.cookie)
      return done(call.name, '')
    }
    if (denied.has(call.name)) checkPrivilege({ ...held.session.account, privileges: new Set() }, self, 'System.View')
    const method = methods[call.name]
    if (!method) throw new VimFault('InvalidRequest', 'Unable to resolve WSDL method name')
    if (request.fault === 'vanish') vanish(call)
    const outcome = method({ session: held.session, self, request: call })
    const { body, items }: Partial<Answer> = typeof outcome === 'string' ? { body: outcome } : outcome
    return done(call.name, body, items)
  }

  function login(call: XmlElement): Reply {
    const { cookie, session } = sessions.login(textIn(call, 'userName') ?? '', textIn(call, 'password') ?? '')
    const reply = done(call.name, `<returnval>${userSession(session)}</returnval>`)
    const setCookie = `vmware_soap_session="${cookie}"; Path=/; HttpOnly; Secure; `
    return { ...reply, headers: { ...reply.headers, 'set-cookie': setCookie } }
  }

  /** Somebody deletes the first virtual machine that is asked for, between the question and the answer. */
  function vanish(call: XmlElement): void {
    const asked = children(child(call, 'specSet'), 'objectSet').map((object) => refIn(child(object, 'obj')))
    const vm = asked.find(({ type }) => type === 'VirtualMachine')
    if (vm && inventory.machine(vm.id)) inventory.changes.remove(vm.id)
  }

  return (request: SimRequest): Reply => {
    if (request.path !== '/sdk') return { status: 404, headers: { 'content-type': 'text/plain' }, body: 'Not Found' }
    if (request.method !== 'POST') return soap(500, fault(new VimFault('InvalidRequest', 'Only POST.')))
    parts.settle()
    try {
      return answer(request)
    } catch (error) {
      if (error instanceof VimFault) return soap(500, fault(error))
      throw error
    }
  }
}

/** The managers as objects with properties of the session that asks. */
export function managerOf(session: Session, { type, id }: Ref): ManagedObject | undefined {
  const refs = (of: Map<string, unknown>, kind: string) =>
    references([...of.keys()].map((key) => ({ type: kind, id: key })))
  const known: Readonly<Record<string, ManagedObject['properties']>> = {
    SessionManager: { currentSession: () => typed('UserSession', userSession(session)) },
    PropertyCollector: { filter: () => refs(session.filters, 'PropertyFilter') },
    ViewManager: { viewList: () => refs(session.views, 'ContainerView') },
    EventManager: { maxCollector: () => text('1000') },
  }
  const properties = Object.values(managers).some((one) => one.id === id) ? known[type] : undefined
  return properties && { ref: { type, id }, properties }
}

function callIn(body: string): XmlElement | undefined {
  try {
    const envelope = parseXml(body)
    return child(envelope, 'Body')?.children[0]
  } catch {
    return undefined
  }
}

function textsOf(call: XmlElement): Record<string, string> {
  const plain = call.children.filter((one) => one.children.length === 0 && one.name !== '_this')
  return Object.fromEntries(plain.map((one) => [one.name, one.text]))
}

function userSession({ key, account, loginTime, lastActive }: Session): string {
  return (
    tag('key', key) +
    tag('userName', account.name) +
    tag('fullName', account.name) +
    tag('loginTime', loginTime.toISOString()) +
    tag('lastActiveTime', new Date(lastActive).toISOString())
  )
}

function serviceContent(version: string): string {
  const refs = Object.entries(managers).map(([name, ref]) => refTag(name, ref))
  const about =
    tag('name', 'VMware vCenter Server') +
    tag('fullName', `VMware vCenter Server ${version} build-24022515`) +
    tag('vendor', 'VMware, Inc.') +
    tag('version', version) +
    tag('apiType', 'VirtualCenter') +
    tag('apiVersion', `${version}.0`) +
    tag('instanceUuid', instanceUuid)
  return `<returnval>${refs.join('')}<about>${about}</about></returnval>`
}

function done(method: string, body: string, items?: number): Reply {
  return {
    ...soap(200, `<${method}Response xmlns="urn:vim25">${body}</${method}Response>`),
    ...(items !== undefined && { items }),
  }
}

function notAuthenticated(self: Ref): VimFault {
  const inner = refTag('object', self) + tag('privilegeId', 'System.View')
  return new VimFault('NotAuthenticated', 'The session is not authenticated.', inner)
}

function fault({ type, message, inner }: VimFault): string {
  return `<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>${escaped(message)}</faultstring><detail><${type}Fault xmlns="urn:vim25" xsi:type="${type}">${inner}</${type}Fault></detail></soapenv:Fault>`
}

function soap(status: number, body: string): Reply {
  return {
    status,
    headers: { 'content-type': 'text/xml; charset=utf-8' },
    body: `<?xml version="1.0" encoding="UTF-8"?>\n<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/"\n xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"\n xmlns:xsd="http://www.w3.org/2001/XMLSchema"\n xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n<soapenv:Body>\n${body}\n</soapenv:Body>\n</soapenv:Envelope>`,
  }
}
