import type { XmlElement } from '../../src/core/connector.ts'
import { invalid, VimFault } from './fault.ts'
import type { Inventory } from './inventory.ts'
import type { Session } from './sessions.ts'
import type { LogEntry } from './state.ts'
import { escaped, isA, type ManagedObject, type Ref, refTag, tag } from './values.ts'
import { child, children, isTrue, refIn, textIn } from './xml.ts'

// The PropertyCollector: reading in pages, and update sets of what a filter watches.

export type FilterSpec = {
  readonly sets: readonly { readonly type: string; readonly paths: readonly string[] }[]
  readonly objects: readonly Selected[]
  readonly reportMissing: boolean
}
type Selected = { readonly ref: Ref; readonly skip: boolean; readonly path: 'view' | 'parent' | undefined }

/** Where an answer goes on. */
export type Page = {
  readonly spec: FilterSpec
  readonly rest: Iterator<Ref>
  readonly seq: number
  /** Objects in each answer. */
  readonly most: number
}

type Parts = {
  readonly inventory: Inventory
  /** What is not in the inventory but can be read: tasks, managers. */
  readonly other: (session: Session, ref: Ref) => ManagedObject | undefined
  readonly pageSize: () => number
}

export type Collector = ReturnType<typeof makeCollector>

export function makeCollector({ inventory, other, pageSize }: Parts) {
  const find = (session: Session, ref: Ref) => inventory.find(ref.id) ?? other(session, ref)

  function* select(session: Session, spec: FilterSpec): Generator<Ref> {
    const seen = new Set<string>()
    for (const { ref, skip, path } of spec.objects) {
      if (ref.type === 'ContainerView') {
        yield* inView(session, ref.id, spec)
        continue
      }
      const object = find(session, ref)
      if (!object || !isA(object.ref.type, ref.type)) {
        if (spec.reportMissing) continue
        throw notFound(ref)
      }
      for (let one: ManagedObject | undefined = object; one; one = path && parentOf(one)) {
        if (!seen.has(one.ref.id) && !(skip && one === object)) yield one.ref
        seen.add(one.ref.id)
      }
    }
  }

  function* inView(session: Session, view: string, spec: FilterSpec): Generator<Ref> {
    const types = session.views.get(view)
    if (!types) throw notFound({ type: 'ContainerView', id: view })
    yield* inventory.all((type) => types.some((one) => isA(type, one)) && spec.sets.some((set) => isA(type, set.type)))
  }

  function parentOf({ properties }: ManagedObject): ManagedObject | undefined {
    const id = />([^<]+)</.exec(properties['parent']?.() ?? '')?.[1]
    return id === undefined ? undefined : inventory.find(id)
  }

  /** Takes up to `most` objects; `write` answers undefined for what is not told. */
  function take(page: Page, most: number, write: (ref: Ref) => string | undefined) {
    const parts: string[] = []
    let next = page.rest.next()
    while (!next.done) {
      const part = write(next.value)
      if (part !== undefined) parts.push(part)
      if (parts.length >= most) break
      next = page.rest.next()
    }
    return { parts, isLast: next.done === true }
  }

  function answer(session: Session, page: Page): { body: string; items: number } {
    const { parts, isLast } = take(page, page.most, (ref) => {
      const object = find(session, ref)
      const values = object && valuesOf(object, page.spec)
      return values && `<objects>${refTag('obj', ref)}${values.map(propSet).join('')}</objects>`
    })
    const token = isLast ? undefined : inventory.state.newId('token')
    if (token !== undefined) session.pages.set(token, page)
    const body = `<returnval>${token === undefined ? '' : tag('token', token)}${parts.join('')}</returnval>`
    return { body: parts.length === 0 && isLast ? '' : body, items: parts.length }
  }

  const size = (options: XmlElement | undefined, name: string) =>
    Math.min(Number(textIn(options, name) ?? 1000), pageSize())

  return {
    retrieve(session: Session, request: XmlElement) {
      const spec = readSpec(child(request, 'specSet'))
      const most = size(child(request, 'options'), 'maxObjects')
      return answer(session, { spec, rest: select(session, spec), seq: 0, most })
    },
    resume(session: Session, token: string) {
      const page = session.pages.get(token)
      if (!page) throw invalid('token')
      session.pages.delete(token)
      return answer(session, page)
    },
    createFilter(session: Session, request: XmlElement): Ref {
      const id = `session[${session.key}]${inventory.state.newId('filter')}`
      session.filters.set(id, readSpec(child(request, 'spec')))
      return { type: 'PropertyFilter', id }
    },
    /** One filter a session is enough for us. */
    updates(session: Session, request: XmlElement) {
      const [filter] = session.filters
      const version = textIn(request, 'version') ?? ''
      if (version !== '' && !session.versions.includes(version)) throw unknownVersion()
      if (!filter) return { body: '', items: 0 }
      const most = size(child(request, 'options'), 'maxObjectUpdates')
      const isFirst = version === '' || version.startsWith('first-')
      const set = isFirst ? initial(session, filter, version, most) : since(session, filter, version, most)
      // The version before the last one is good too: its answer may have been lost on the way.
      if (set.version !== undefined) session.versions = [version, set.version]
      return set
    },
  }

  function initial(session: Session, [id, spec]: [string, FilterSpec], version: string, most: number) {
    if (version === '') session.initial = { spec, rest: select(session, spec), seq: inventory.state.seq(), most }
    const page = session.initial
    if (!page) throw unknownVersion()
    const { parts, isLast } = take(page, most, (ref) => {
      const object = find(session, ref)
      return object && objectUpdate('enter', ref, valuesOf(object, spec))
    })
    if (isLast) session.initial = undefined
    const next = isLast ? String(page.seq) : inventory.state.newId('first')
    return updateSet(next, id, parts, !isLast)
  }

  function since(session: Session, [id, spec]: [string, FilterSpec], version: string, most: number) {
    const entries = /^\d{1,15}$/.test(version) ? inventory.state.since(Number(version)) : undefined
    if (!entries) throw unknownVersion()
    const known = entries.filter(({ ref, kind, names }) => kind !== 'modify' || watched(spec, ref, names).length > 0)
    const part = known.slice(0, most)
    const last = part.at(-1)
    if (!last) return { body: '', items: 0, version: undefined }
    const parts = part.map((entry) => told(session, spec, entry))
    return updateSet(String(last.seq), id, parts, part.length < known.length)
  }

  function told(session: Session, spec: FilterSpec, { ref, kind, names }: LogEntry): string {
    const object = kind === 'leave' ? undefined : find(session, ref)
    // What vanished after it changed is told as gone later in the log.
    if (!object) return objectUpdate(kind === 'enter' ? 'modify' : kind, ref, [])
    const wanted = watched(spec, ref, names)
    const values = valuesOf(object, spec).filter(([name]) => kind === 'enter' || wanted.includes(name))
    return objectUpdate(kind, ref, values)
  }
}

type Values = readonly (readonly [string, string | undefined])[]

function valuesOf({ ref, properties }: ManagedObject, { sets }: FilterSpec): Values {
  const paths = sets.filter(({ type }) => isA(ref.type, type)).flatMap((set) => set.paths)
  return paths.map((path) => {
    const value = properties[path]
    if (!value) throw new VimFault('InvalidProperty', '', tag('name', path))
    return [path, value()]
  })
}

function watched({ sets }: FilterSpec, ref: Ref, names: readonly string[]): string[] {
  const paths = sets.filter(({ type }) => isA(ref.type, type)).flatMap((set) => set.paths)
  return names.filter((name) => paths.includes(name))
}

function propSet([name, value]: Values[number]): string {
  return value === undefined ? '' : `<propSet>${tag('name', name)}${value}</propSet>`
}

function objectUpdate(kind: LogEntry['kind'], ref: Ref, values: Values): string {
  const changes = values.map(
    ([name, value]) => `<changeSet>${tag('name', name)}${tag('op', 'assign')}${value ?? ''}</changeSet>`,
  )
  return `<objectSet>${tag('kind', kind)}${refTag('obj', ref)}${changes.join('')}</objectSet>`
}

function updateSet(version: string, filter: string, parts: readonly string[], isTruncated: boolean) {
  const set =
    parts.length === 0
      ? ''
      : `<filterSet><filter type="PropertyFilter">${escaped(filter)}</filter>${parts.join('')}</filterSet>`
  const truncated = isTruncated ? tag('truncated', true) : ''
  const body = `<returnval>${tag('version', version)}${set}${truncated}</returnval>`
  return { body, items: parts.length, version }
}

function readSpec(spec: XmlElement | undefined): FilterSpec {
  if (children(spec, 'propSet').length === 0 || children(spec, 'objectSet').length === 0) throw invalid('specSet')
  return {
    sets: children(spec, 'propSet').map((set) => ({
      type: textIn(set, 'type') ?? '',
      paths: children(set, 'pathSet').map((path) => path.text),
    })),
    objects: children(spec, 'objectSet').map((object) => {
      const path = textIn(child(object, 'selectSet'), 'path')
      if (path !== undefined && path !== 'view' && path !== 'parent') throw invalid('specSet.objectSet.selectSet.path')
      return { ref: refIn(child(object, 'obj')), skip: isTrue(child(object, 'skip')), path }
    }),
    reportMissing: isTrue(child(spec, 'reportMissingObjectsInResults')),
  }
}

function unknownVersion(): VimFault {
  return new VimFault('InvalidCollectorVersion', 'A specified version is not known.')
}

export function notFound(ref: Ref): VimFault {
  const message = `The object '${ref.type}:${ref.id}' has already been deleted or has not been completely created`
  return new VimFault('ManagedObjectNotFound', message, refTag('obj', ref))
}
