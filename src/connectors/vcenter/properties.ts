import type { Http, XmlElement } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { all, at, el, type Ref, read, refEl, textAt, type Xml } from './soap.ts'

/** What was read of one managed object: by property path, only those that are set and may be read. */
export type Found = { readonly ref: Ref; readonly properties: ReadonlyMap<string, XmlElement> }

/** Property paths to read, by type; a type stands for those derived from it too. */
export type Wanted = Readonly<Record<string, readonly string[]>>

/** Where to look: elements made by `inView`, `these` and `upFrom`. */
export type Selection = readonly Xml[]

/** Reads properties page by page. What vanished since it was selected is left out. */
export async function* retrieve(
  http: Http,
  self: Ref,
  { wanted, selection, pageSize }: { wanted: Wanted; selection: Selection; pageSize: number },
): AsyncGenerator<readonly Found[]> {
  const options = el('options', [el('maxObjects', pageSize)])
  const args = [filterSpec('specSet', wanted, selection), options]
  let [page] = await read(http, { method: 'RetrievePropertiesEx', self, args })
  const count = counter()
  while (page) {
    const objects = all(page, 'objects')
    count(objects.length + 1)
    yield objects.map(foundIn)
    const token = textAt(page, 'token')
    if (token === undefined) return
    ;[page] = await read(http, { method: 'ContinueRetrievePropertiesEx', self, args: [el('token', token)] })
  }
}

/** Reads few objects at once. */
export async function retrieveAll(http: Http, self: Ref, wanted: Wanted, selection: Selection): Promise<Found[]> {
  const found: Found[][] = []
  const count = counter(100_000)
  for await (const page of retrieve(http, self, { wanted, selection, pageSize: 1000 })) {
    count(page.length)
    found.push([...page])
  }
  return found.flat()
}

/** More than any vCenter has: one that sends without end must not fill the memory. */
export function counter(most = 1_000_000): (more: number) => void {
  let count = 0
  return (more) => {
    count += more
    if (count > most) throw new Problem('upstream-invalid', 'vCenter sends more than it can have')
  }
}

export function filterSpec(name: string, wanted: Wanted, selection: Selection): Xml {
  const sets = Object.entries(wanted).map(([type, paths]) =>
    el('propSet', [el('type', type), ...paths.map((path) => el('pathSet', path))]),
  )
  return el(name, [...sets, ...selection, el('reportMissingObjectsInResults', true)])
}

/** Whatever the view shows at the moment. */
export function inView(view: Ref): Selection {
  return [el('objectSet', [refEl('obj', view), el('skip', true), traversal('view', 'ContainerView', 'view')])]
}

export function these(refs: readonly Ref[]): Selection {
  return refs.map((ref) => el('objectSet', [refEl('obj', ref)]))
}

/** Each object and all that it is in. */
export function upFrom(refs: readonly Ref[]): Selection {
  return refs.map((ref, i) => {
    // A traversal goes on to itself by its name, which is one of its own in the whole request.
    const name = `up${i}`
    const up = traversal(name, 'ManagedEntity', 'parent', [el('selectSet', [el('name', name)])])
    return el('objectSet', [refEl('obj', ref), up])
  })
}

function traversal(name: string, type: string, path: string, next: readonly Xml[] = []): Xml {
  const parts = [el('name', name), el('type', type), el('path', path), el('skip', false), ...next]
  return el('selectSet', parts, { 'xsi:type': 'TraversalSpec' })
}

/** One `objects` element. */
export function foundIn(object: XmlElement): Found {
  return { ref: refOf(at(object, 'obj')), properties: valuesIn(all(object, 'propSet')) }
}

export function valuesIn(sets: readonly XmlElement[]): Map<string, XmlElement> {
  return new Map(
    sets.flatMap((set) => {
      const value = at(set, 'val')
      return value ? [[textAt(set, 'name') ?? '', value] as const] : []
    }),
  )
}

/** Of an `obj`. A `val` has `xsi:type` too, which hides the type of what it points to. */
export function refOf(element: XmlElement | undefined): Ref {
  return { type: element?.attributes['type'] ?? '', id: element?.text ?? '' }
}
