import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Context, handlerOf } from '../../core/action.ts'
import type { Http, XmlElement } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { Secret } from '../../core/secret.ts'
import { parseXml } from '../../lib/xml.ts'
import { upstream } from '../../testing/upstream.ts'
import { authenticate, signIn } from './authenticate.ts'
import type { Scene } from './basis.ts'
import { explain } from './explain.ts'
import { vcenter } from './index.ts'
import { observe } from './observe.ts'
import { readOffSince } from './power-events.ts'
import { type Found, foundIn, retrieveAll } from './properties.ts'
import { serviceOf } from './service.ts'
import { all, at, el } from './soap.ts'
import { runTask } from './tasks.ts'
import { addPlaces, type Places, placeIn } from './tree.ts'
import { currentSession, readChanges } from './watch.ts'

// Replies as vCenter 8 writes them; the rest is tried against simulators/vcenter and test/real.

const fixture = (name: string) => readFileSync(join(import.meta.dirname, 'fixtures', name), 'utf8')
const reply = (name: string) => parseXml(fixture(name))
const objectsIn = (name: string): Found[] =>
  all(at(reply(name), 'Body', 'RetrievePropertiesExResponse', 'returnval'), 'objects').map(foundIn)

function scene(): Scene {
  const tree: Places = new Map()
  addPlaces(tree, objectsIn('tree.xml'))
  const service = {
    rootFolder: { type: 'Folder', id: 'group-d1' },
    propertyCollector: { type: 'PropertyCollector', id: 'propertyCollector' },
    viewManager: { type: 'ViewManager', id: 'ViewManager' },
    sessionManager: { type: 'SessionManager', id: 'SessionManager' },
    eventManager: undefined,
    authorizationManager: undefined,
    version: '8.0.3',
    apiVersion: '8.0.3.0',
    isVirtualCenter: true,
    instanceUuid: '0c2f6a3e-8b1d-4d2e-9a56-7c1de0aa1b2c',
  }
  return { service, base: 'https://vc.example.net', tree, offSince: new Map() }
}

const inPlace = [
  { type: 'member-of', kind: 'cluster', externalId: 'domain-c7' },
  { type: 'located-in', kind: 'datacenter', externalId: 'datacenter-2' },
]

test('A virtual machine becomes itself and its snapshots; descriptions are not read', () => {
  const observations = objectsIn('vm.xml').flatMap((found) => observe(scene(), found))

  assert.deepEqual(observations, JSON.parse(fixture('observations-vm.json')))
  assert.doesNotMatch(JSON.stringify(observations), /hunter2/)
})

test('A virtual machine that vCenter cannot reach is told as far as it is known', () => {
  const [vm] = objectsIn('vm-inaccessible.xml').flatMap((found) => observe(scene(), found))

  assert.equal(vm?.name, '/vmfs/volumes/lost/lost.vmx')
  assert.deepEqual(vm?.machine, { form: 'virtual', macs: [] })
  assert.deepEqual([vm?.relations, vm?.addresses, vm?.attributes['connection']], [[], [], 'inaccessible'])
})

test('A host that was added by its address is known by the name that it has itself', () => {
  const [host] = objectsIn('host.xml').flatMap((found) => observe(scene(), found))

  assert.deepEqual(host, {
    kind: 'host',
    externalId: 'host-22',
    name: '10.20.0.11',
    site: 'AMS1',
    url: 'https://vc.example.net/ui/app/host;nav=h/urn:vmomi:HostSystem:host-22:0c2f6a3e-8b1d-4d2e-9a56-7c1de0aa1b2c/summary',
    status: 'connected',
    serial: '7XK2P53',
    addresses: ['10.20.0.11', '10.30.0.11'],
    attributes: {
      vendor: 'Dell Inc.',
      model: 'PowerEdge R650',
      platform: 'VMware ESXi 7.0.3 build-21930508',
      cpuCores: 56,
      memoryMib: 524_288,
      inMaintenance: true,
      datacenter: 'AMS1',
      cluster: 'PROD',
    },
    relations: inPlace,
    machine: {
      form: 'physical',
      uuids: ['4c4c4544-0058-4b10-8032-b7c04f503533'],
      macs: ['b0:7b:25:00:00:0c'],
      hostNames: ['esx01.example.net'],
      fqdns: ['esx01.example.net'],
    },
    facts: { power: 'on', powerSince: '2026-03-04T05:06:07.890Z' },
  })
})

test('A machine that no host runs is in the datacenter of its folder', () => {
  const [found] = objectsIn('vm.xml')
  assert.ok(found)
  const properties = new Map([...found.properties].filter(([path]) => path !== 'runtime.host'))

  const [vm] = observe(scene(), { ...found, properties })

  assert.deepEqual([vm?.site, vm?.attributes['host'], vm?.attributes['cluster']], ['AMS1', null, undefined])
})

test('A host whose connection is lost tells no power, whatever it was last', () => {
  const [found] = objectsIn('host.xml')
  assert.ok(found)
  const properties = new Map([...found.properties, ['runtime.connectionState', parseXml('<val>disconnected</val>')]])

  assert.deepEqual(observe(scene(), { ...found, properties })[0]?.facts, {})
})

const hostNames = [
  ['ESX01.example.net', ['esx01.example.net'], ['esx01.example.net']],
  ['esx01', ['esx01'], []],
  ['10.20.0.11', [], []],
  ['2001:db8::b', [], []],
  ['localhost', [], []],
  ['localhost.localdomain', [], []],
  ['localhost2.example.net', ['localhost2.example.net'], ['localhost2.example.net']],
] as const
test('The name of a host counts when it is a name', () => {
  for (const [name, names, fqdns] of hostNames) {
    const properties = new Map([['name', parseXml(`<val>${name}</val>`)]])
    const [host] = observe(scene(), { ref: { type: 'HostSystem', id: 'host-1' }, properties })
    assert.deepEqual([host?.machine?.hostNames, host?.machine?.fqdns], [names, fqdns], name)
  }
})

test('A guest that calls itself localhost has no name, and loopback is no address', () => {
  const guest = (name: string) => {
    const properties = new Map([
      ['guest.hostName', parseXml(`<val>${name}</val>`)],
      ['guest.ipAddress', parseXml('<val>127.0.0.1</val>')],
    ])
    return observe(scene(), { ref: { type: 'VirtualMachine', id: 'vm-1' }, properties })[0]
  }
  const nic = '<HostVirtualNic><spec><ip><ipAddress>127.0.0.1</ipAddress></ip></spec></HostVirtualNic>'
  const vnics = new Map([['config.network.vnic', parseXml(`<val>${nic}</val>`)]])

  assert.equal(guest('localhost.localdomain')?.machine?.hostNames, undefined)
  assert.deepEqual(guest('app01')?.machine?.hostNames, ['app01'])
  assert.deepEqual(guest('app01')?.addresses, [])
  assert.deepEqual(observe(scene(), { ref: { type: 'HostSystem', id: 'host-1' }, properties: vnics })[0]?.addresses, [])
})

const serials = [
  ['<serialNumber>CZ123</serialNumber>', 'CZ123'],
  ['<serialNumber>None</serialNumber>', undefined],
  ['<serialNumber>To Be Filled By O.E.M.</serialNumber>', undefined],
  [tagged('SerialNumberTag', 'VMware-42'), 'VMware-42'],
  [tagged('SerialNumberTag', 'A') + tagged('ServiceTag', 'B'), 'B'],
  [tagged('ServiceTag', 'Default string') + tagged('SerialNumberTag', 'A'), 'A'],
  [`<serialNumber>0000</serialNumber>${tagged('ServiceTag', 'B')}`, 'B'],
  [tagged('AssetTag', 'A-1'), undefined],
] as const
test('The serial number of a host is the one that its manufacturer gave', () => {
  for (const [inner, serial] of serials) {
    const info = parseXml(`<val>${inner}</val>`)
    const found = { ref: { type: 'HostSystem', id: 'host-1' }, properties: new Map([['hardware.systemInfo', info]]) }
    assert.equal(observe(scene(), found)[0]?.serial, serial, inner)
  }
})

function tagged(key: string, value: string): string {
  return `<otherIdentifyingInfo><identifierValue>${value}</identifierValue><identifierType><key>${key}</key></identifierType></otherIdentifyingInfo>`
}

test('A store that cannot be reached tells no fill level, and the pool of a cluster itself is no asset', () => {
  const store = (accessible: boolean) => {
    const summary = `<val><capacity>1000</capacity><freeSpace>250</freeSpace><accessible>${accessible}</accessible></val>`
    const properties = new Map([['summary', parseXml(summary)]])
    return observe(scene(), { ref: { type: 'Datastore', id: 'datastore-1' }, properties })[0]
  }
  const pool = (id: string, parent: string) => {
    const properties = new Map([['parent', parseXml(`<val>${parent}</val>`)]])
    return observe(scene(), { ref: { type: 'ResourcePool', id }, properties }).length
  }

  assert.deepEqual([store(true)?.facts, store(true)?.status], [{ usedPercent: 75 }, 'accessible'])
  assert.deepEqual([store(false)?.facts, store(false)?.status], [undefined, 'inaccessible'])
  assert.deepEqual([pool('resgroup-8', 'domain-c7'), pool('resgroup-12', 'resgroup-8')], [0, 1])
})

const faults = [
  ['NotAuthenticated', { type: 'upstream-denied', detail: 'The vCenter session has ended.', sessionOver: true }],
  ['ManagedObjectNotFound', { type: 'not-found', detail: 'vCenter does not have this object, or not any more.' }],
  ['vim25:ToolsUnavailable', 'conflict'],
  ['InvalidPowerState', 'conflict'],
  ['NotImplemented', 'conflict'],
  ['SomethingNew', { type: 'upstream-failed', detail: 'vCenter reports SomethingNew.' }],
  ['constructor', { type: 'upstream-failed', detail: 'vCenter reports constructor.' }],
  ['__proto__', { type: 'upstream-failed', detail: 'vCenter reports __proto__.' }],
  ['https://vc.example.net/secret', { type: 'upstream-failed', detail: 'vCenter reports an unknown fault.' }],
] as const
test('A SOAP fault is told as what it means, whatever its status; nothing of its text is shown', () => {
  const faultOf = (type: string): XmlElement =>
    parseXml(
      `<e:Envelope xmlns:e="e"><e:Body><e:Fault><faultstring>hunter2</faultstring><detail><AFault type="${type}"/></detail></e:Fault></e:Body></e:Envelope>`,
    )
  for (const [type, meaning] of faults)
    for (const status of [200, 500]) {
      const said = explain(status, faultOf(type))
      if (typeof meaning === 'string') assert.equal(said?.type, meaning)
      else assert.deepEqual(said, meaning)
    }
  assert.deepEqual(explain(500, reply('fault-no-permission.xml')), {
    type: 'upstream-denied',
    detail: 'The vCenter account lacks the privilege VirtualMachine.Interact.PowerOff for this.',
  })
  const odd = parseXml(
    '<Envelope><Body><Fault><detail><NoPermissionFault type="NoPermission"><privilegeId>hunter2 at vc.example.net!</privilegeId></NoPermissionFault></detail></Fault></Body></Envelope>',
  )
  assert.equal(explain(500, odd)?.detail, 'The vCenter account lacks a privilege for this.')
  for (const other of [undefined, null, 'text', {}, [], { name: 'Envelope', children: [] }, parseXml('<html/>')])
    assert.equal(explain(500, other), undefined)
  assert.equal(explain(200, reply('vm.xml')), undefined)
})

const texts = [
  ['a<b>&"\'c', '<x>a&#60;b&#62;&#38;&#34;&#39;c</x>'],
  ['</x><y>', '<x>&#60;/x&#62;&#60;y&#62;</x>'],
  ['a\u0000\u0008\u{fffe}b', '<x>ab</x>'],
  ['a\r\nb', '<x>a&#13;\nb</x>'],
  ['Grüße 🚀', '<x>Grüße 🚀</x>'],
  ['half \ud83d of a pair', '<x>half \ufffd of a pair</x>'],
] as const
test('Text becomes text, never markup (claims: D16)', () => {
  for (const [text, xml] of texts) {
    assert.equal(el('x', text).xml, xml)
    assert.equal(el('x', [], { a: text }).xml.includes('<y>'), false)
  }
})

const config = { url: 'https://vc.example.net', pageSize: 200 }

const cookies = [
  ['vmware_soap_session="4f0a"; Path=/; HttpOnly; Secure; ', '"4f0a"'],
  ['other=1; Path=/\nvmware_soap_session=4f0a-17; Path=/', '4f0a-17'],
  ['vmware_soap_session="4f0a"', '"4f0a"'],
  ['vmware_soap_session=', undefined],
  ['vmware_soap_session="a b"; Path=/', undefined],
  ['x_vmware_soap_session="4f0a"', undefined],
  [undefined, undefined],
] as const
for (const [header, value] of cookies) {
  test(`Signing in takes the session from ${JSON.stringify(header)}`, async () => {
    const { http } = answering([reply('service-content.xml'), answer('Login', '')], header)

    const session = signIn({ http, credential })

    if (value === undefined) await assert.rejects(session, { type: 'upstream-invalid' })
    else assert.deepEqual(authenticate(await session), { cookie: `vmware_soap_session=${value}` })
  })
}

const credential = { username: new Secret('atlas'), password: new Secret('x') }

/** A system that gives these answers in turn, the last one for ever. */
function answering(replies: readonly XmlElement[], cookie?: string) {
  const bodies: string[] = []
  const headers: Record<string, string> = cookie === undefined ? {} : { 'set-cookie': cookie }
  const http = {
    exchange: async ({ body }, schema) => {
      const next = replies[Math.min(bodies.length, replies.length - 1)]
      bodies.push(String(body))
      return { status: 200, body: schema.parse(next), headers }
    },
  } as Pick<Http, 'exchange'> as Http
  return { http, bodies }
}

function answer(method: string, inner: string): XmlElement {
  return parseXml(`<Envelope><Body><${method}Response>${inner}</${method}Response></Body></Envelope>`)
}

function objects(type: string, id: string, path: string, value: string): XmlElement {
  const set = `<propSet><name>${path}</name><val>${value}</val></propSet>`
  return answer(
    'RetrievePropertiesEx',
    `<returnval><objects><obj type="${type}">${id}</obj>${set}</objects></returnval>`,
  )
}

test('A reply that is not the answer to the call is not believed (claims: D30)', async () => {
  for (const text of ['<html/>', '<Envelope/>', '<Envelope><Body><LogoutResponse/></Body></Envelope>'])
    await assert.rejects(signIn({ http: answering([parseXml(text)]).http, credential }), { name: 'ZodError' }, text)
})

test('What a reply must have and lacks is told in words (claims: D30)', async () => {
  const content = reply('service-content.xml')
  const { signal } = new AbortController()
  const { service } = scene()
  const task = { http: answering([answer('ResetVM_Task', '')]).http, service, signal, waitSeconds: 0 }
  const reset = { method: 'ResetVM_Task', self: { type: 'VirtualMachine', id: 'vm-1' } }
  const attempts = [
    [serviceOf(answering([answer('RetrieveServiceContent', '<returnval/>')]).http), /is not a vCenter/],
    [
      currentSession(answering([answer('CurrentTime', ''), answer('RetrievePropertiesEx', '')]).http, service),
      /in which session/,
    ],
    [runTask(task, reset), /without saying which/],
    [
      run('vcenter.vm.power', { change: 'on' }, [
        content,
        objects('VirtualMachine', 'vm-1', 'runtime.powerState', 'odd'),
      ]),
      /does not say whether vm-1 is on/,
    ],
  ] as const
  for (const [attempt, detail] of attempts) await assert.rejects(attempt, { type: 'upstream-invalid', detail })
})

/** Runs an action on vm-1 against these answers. */
async function run(name: string, input: object, replies: readonly XmlElement[]) {
  const action = vcenter.actions.find((one) => one.name === name)
  assert.ok(action)
  const context = contextWith(answering(replies).http)
  return handlerOf(action).run(action.input.parse({ connection: 'vc', id: 'vm-1', ...input }), context)
}

function contextWith(http: Http): Context {
  return {
    principal: { id: 'usr_1', kind: 'user', name: 'Ana', bindings: [], version: '1' },
    door: 'http',
    requestId: 'req_1',
    signal: new AbortController().signal,
    connection: { id: 'con_1', config, http },
  }
}

test('One ESXi host has other ids, no pages for people, and a warning', async () => {
  const parts = { rootFolder: 'ha-folder-root', propertyCollector: 'ha-property-collector' }
  const more = { viewManager: 'ViewManager', sessionManager: 'ha-sessionmgr' }
  const refs = Object.entries({ ...parts, ...more }).map(([name, id]) => `<${name}>${id}</${name}>`)
  const about = '<about><version>8.0.2</version><apiType>HostAgent</apiType><apiVersion>8.0.2.0</apiVersion></about>'
  const content = answer('RetrieveServiceContent', `<returnval>${refs.join('')}${about}</returnval>`)
  const session = objects('SessionManager', 'ha-sessionmgr', 'currentSession', '<key>k</key><userName>root</userName>')
  const { http, bodies } = answering([content, answer('CurrentTime', ''), session])

  const outcome = await vcenter.check({ config, http, signal: new AbortController().signal })

  assert.deepEqual(outcome, {
    version: '8.0.2',
    account: 'root',
    warnings: ['This is one ESXi host, not a vCenter. Atlas was never tried with one.'],
  })
  assert.match(bodies[2] ?? '', /<_this type="PropertyCollector">ha-property-collector</)
  const esxi = { ...scene(), service: { ...scene().service, isVirtualCenter: false } }
  assert.equal(observe(esxi, { ref: { type: 'VirtualMachine', id: '12' }, properties: new Map() })[0]?.url, undefined)
})

test('Events without end are given up after a bounded number of calls', async () => {
  const event =
    '<returnval type="VmPoweredOffEvent"><createdTime>2026-11-01T00:00:00Z</createdTime><vm><vm type="VirtualMachine">vm-1</vm></vm></returnval>'
  const { http, bodies } = answering([answer('QueryEvents', event.repeat(1000))])
  const eventManager = { type: 'EventManager', id: 'EventManager' }

  const since = await readOffSince(http, { ...scene().service, eventManager }, new Date('2026-11-20T00:00:00Z'))

  assert.deepEqual([...since], [['vm-1', '2026-11-01T00:00:00.000Z']])
  assert.equal(bodies.length, 40)
})

test('Events that are not to be had leave the times out; a failure is a failure', async () => {
  const service = { ...scene().service, eventManager: { type: 'EventManager', id: 'EventManager' } }
  const failing = (type: 'upstream-denied' | 'conflict' | 'upstream-failed') => {
    const http = { exchange: async () => Promise.reject(new Problem(type)) } as Pick<Http, 'exchange'> as Http
    return readOffSince(http, service, new Date())
  }

  for (const type of ['upstream-denied', 'conflict'] as const) assert.equal((await failing(type)).size, 0)
  await assert.rejects(failing('upstream-failed'), { type: 'upstream-failed' })
})

test('Updates that say that there are more, but do not go on, end', async () => {
  const { http, bodies } = answering([
    answer('WaitForUpdatesEx', '<returnval><version>7</version><truncated>true</truncated></returnval>'),
  ])

  assert.deepEqual(await readChanges(http, scene().service, '6'), { changes: [], version: '7' })
  assert.equal(bodies.length, 2)
})

test('What is sent without end is given up before it fills the memory', async () => {
  let calls = 0
  const endless = (method: string, inside: (call: number) => string) =>
    ({
      exchange: async (_: unknown, schema: { parse: (body: unknown) => unknown }) => ({
        status: 200,
        headers: {},
        body: schema.parse(
          parseXml(`<Envelope><Body><${method}Response>${inside(++calls)}</${method}Response></Body></Envelope>`),
        ),
      }),
    }) as unknown as Http
  const { service } = scene()
  const changed = Array.from({ length: 1000 }, () => '<objectSet><obj type="Folder">f</obj></objectSet>').join('')
  const updates = endless(
    'WaitForUpdatesEx',
    (call) =>
      `<returnval><version>${call}</version><filterSet>${changed}</filterSet><truncated>true</truncated></returnval>`,
  )
  await assert.rejects(readChanges(updates, service, '0'), { type: 'upstream-invalid' })
  assert.equal(calls, 1000)

  let first = true
  const pages = {
    exchange: (...given: Parameters<Http['exchange']>) => {
      const method = first ? 'RetrievePropertiesEx' : 'ContinueRetrievePropertiesEx'
      first = false
      return endless(
        method,
        () =>
          `<returnval><token>more</token>${'<objects><obj type="Folder">f</obj></objects>'.repeat(1000)}</returnval>`,
      ).exchange(...given)
    },
  } as unknown as Http
  await assert.rejects(retrieveAll(pages, service.propertyCollector, {}, []), { type: 'upstream-invalid' })
})

test('Folders that are in each other end nowhere, and not never', () => {
  const tree: Places = new Map([
    ['a', { type: 'Folder', id: 'a', name: 'A', parent: 'b' }],
    ['b', { type: 'Folder', id: 'b', name: 'B', parent: 'a' }],
  ])

  assert.deepEqual(placeIn(tree, 'a'), {})
})

const requestHeaders = { 'content-type': 'text/xml; charset=utf-8', SOAPAction: '"urn:vim25/6.5"' }

type Shown = {
  name: string
  power: string
  powerSince: string
  snapshots: { id: string; parent: string | null; createdAt: string }[]
}

test('The requests of one reading are exactly these', async (t: TestContext) => {
  const exchanged = ['service-content', 'vm', 'tree'].map((name) => ({
    request: 'POST /sdk',
    requestHeaders,
    body: fixture(`request-${name}.xml`).trimEnd(),
    reply: reply(`${name}.xml`),
  }))
  const { http } = upstream(t, import.meta.dirname, exchanged, { config })
  const context = contextWith(http)
  const action = vcenter.actions.find(({ name }) => name === 'vcenter.vm.get')
  assert.ok(action)

  const vm = await handlerOf(action).run(action.input.parse({ connection: 'vc', id: 'vm-1042' }), context)

  const { name, power, powerSince, snapshots } = vm as Shown
  assert.deepEqual([name, power, powerSince], ['app01/blue', 'on', '2026-10-01T06:00:00.500Z'])
  assert.deepEqual(
    snapshots.map(({ id, parent, createdAt }) => [id, parent, createdAt]),
    [
      ['snapshot-77', null, '2026-11-02T09:15:00.123Z'],
      ['snapshot-78', 'snapshot-77', '2026-11-03T09:00:00.000Z'],
    ],
  )
})
