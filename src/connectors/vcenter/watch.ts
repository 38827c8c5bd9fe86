import type { Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { signals, viewTypes } from './models.ts'
import { counter, filterSpec, inView, refOf, retrieveAll, these } from './properties.ts'
import type { Service } from './service.ts'
import { all, booleanAt, el, type Ref, read, refEl, textAt, timeAt } from './soap.ts'

// A view and a filter live in the session at vCenter and end with it. Atlas has one session per connection, and only its
// syncs use the session's own property collector for updates, so whatever filter or view is found there is an earlier run's.

export type Change = {
  readonly ref: Ref
  readonly isGone: boolean
  /** Was there before, and has another name or is in another place now. */
  readonly isMoved: boolean
}

/** The key and the user of the session that these calls are made in, and vCenter's own time. */
export async function currentSession(http: Http, { propertyCollector, sessionManager }: Service) {
  // Unlike the properties below, the time is told only with a session: one that has ended is renewed here.
  const self = { type: 'ServiceInstance', id: 'ServiceInstance' }
  const [time] = await read(http, { method: 'CurrentTime', self })
  const wanted = { SessionManager: ['currentSession'] }
  const [found] = await retrieveAll(http, propertyCollector, wanted, these([sessionManager]))
  const session = found?.properties.get('currentSession')
  const key = textAt(session, 'key')
  if (key === undefined) throw new Problem('upstream-invalid', 'vCenter does not say in which session it is used')
  return { key, user: textAt(session, 'userName'), now: timeAt(time) }
}

/** A view of everything and a filter that watches it; earlier ones are removed. */
export async function startWatch(http: Http, service: Service): Promise<{ view: Ref; version: string }> {
  const { propertyCollector, viewManager, rootFolder } = service
  await removeEarlier(http, service)
  const types = viewTypes.map((type) => el('type', type))
  const [view] = await read(http, {
    method: 'CreateContainerView',
    self: viewManager,
    args: [refEl('container', rootFolder), ...types, el('recursive', true)],
  })
  const viewRef = refOf(view)
  const spec = filterSpec('spec', signals, inView(viewRef))
  await read(http, { method: 'CreateFilter', self: propertyCollector, args: [spec, el('partialUpdates', false)] })
  // The first updates tell the state as it is; only their version is of use.
  let version = ''
  for await (const set of updateSets(http, service, '')) version = set.version
  return { view: viewRef, version }
}

/** What changed since `version`, each object once, and the version to go on from. */
export async function readChanges(http: Http, service: Service, version: string) {
  const changes = new Map<string, Change>()
  let last = version
  for await (const set of updateSets(http, service, version)) {
    last = set.version
    for (const { ref, kind, names } of set.updates) {
      const isMoved = kind === 'modify' && names.some((name) => name === 'name' || name === 'parent')
      const earlier = changes.get(ref.id)
      changes.set(ref.id, { ref, isGone: kind === 'leave', isMoved: isMoved || earlier?.isMoved === true })
    }
  }
  return { changes: [...changes.values()], version: last }
}

async function* updateSets(http: Http, { propertyCollector: self }: Service, from: string) {
  const count = counter()
  for (let version = from; ; ) {
    const options = el('options', [el('maxWaitSeconds', 0), el('maxObjectUpdates', 1000)])
    const args = [el('version', version), options]
    const [set] = await read(http, { method: 'WaitForUpdatesEx', self, args })
    const next = textAt(set, 'version')
    // Nothing new is no answer at all.
    if (!set || next === undefined) return
    const updates = all(set, 'filterSet')
      .flatMap((filter) => all(filter, 'objectSet'))
      .map((object) => ({
        ref: refOf(all(object, 'obj')[0]),
        kind: textAt(object, 'kind'),
        names: all(object, 'changeSet').flatMap((change) => textAt(change, 'name') ?? []),
      }))
    count(updates.length + 1)
    yield { version: next, updates }
    if (booleanAt(set, 'truncated') !== true || next === version) return
    version = next
  }
}

async function removeEarlier(http: Http, { propertyCollector, viewManager }: Service): Promise<void> {
  const wanted = { PropertyCollector: ['filter'], ViewManager: ['viewList'] }
  const found = await retrieveAll(http, propertyCollector, wanted, these([propertyCollector, viewManager]))
  const ids = (path: string) =>
    found.flatMap(({ properties }) => all(properties.get(path), 'ManagedObjectReference').map(({ text }) => text))
  for (const id of ids('filter'))
    await read(http, { method: 'DestroyPropertyFilter', self: { type: 'PropertyFilter', id } })
  for (const id of ids('viewList')) await read(http, { method: 'DestroyView', self: { type: 'ContainerView', id } })
}
