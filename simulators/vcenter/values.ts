// Property values as vCenter writes them: one `val` element with its type.

export type Ref = { readonly type: string; readonly id: string }
/** Inner XML by property path; a path without a value at the moment gives undefined. */
export type Properties = Readonly<Record<string, () => string | undefined>>
export type ManagedObject = { readonly ref: Ref; readonly properties: Properties }

export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

export function tag(name: string, content: string | number | boolean): string {
  return `<${name}>${escaped(String(content))}</${name}>`
}

export function text(value: string): string {
  return `<val xsi:type="xsd:string">${escaped(value)}</val>`
}

export function int(value: number): string {
  return `<val xsi:type="xsd:int">${value}</val>`
}

export function boolean(value: boolean): string {
  return `<val xsi:type="xsd:boolean">${value}</val>`
}

export function time(value: Date): string {
  return `<val xsi:type="xsd:dateTime">${value.toISOString()}</val>`
}

/** An enumeration or a data object; `inner` is XML. */
export function typed(type: string, inner: string): string {
  return `<val xsi:type="${type}">${inner}</val>`
}

/** In the order that vCenter has them, with the two attributes called `type`. */
export function reference({ type, id }: Ref): string {
  return `<val type="${type}" xsi:type="ManagedObjectReference">${escaped(id)}</val>`
}

export function references(refs: readonly Ref[]): string {
  const items = refs.map(
    ({ type, id }) =>
      `<ManagedObjectReference type="${type}" xsi:type="ManagedObjectReference">${escaped(id)}</ManagedObjectReference>`,
  )
  return typed('ArrayOfManagedObjectReference', items.join(''))
}

/** As `returnval`, `obj` and other elements that hold only a reference. */
export function refTag(name: string, { type, id }: Ref): string {
  return `<${name} type="${type}">${escaped(id)}</${name}>`
}

const bases: Readonly<Record<string, string>> = {
  ClusterComputeResource: 'ComputeResource',
  DistributedVirtualPortgroup: 'Network',
  OpaqueNetwork: 'Network',
}
const entities = new Set([
  'Folder',
  'Datacenter',
  'ComputeResource',
  'HostSystem',
  'ResourcePool',
  'Datastore',
  'Network',
  'VirtualMachine',
])

/** Whether objects of a type are also of another one. */
export function isA(type: string, wanted: string): boolean {
  const base = bases[type]
  return type === wanted || base === wanted || (wanted === 'ManagedEntity' && entities.has(base ?? type))
}
