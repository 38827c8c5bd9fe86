import type { Fault, XmlElement } from '../../core/connector.ts'
import { at, textAt } from './soap.ts'

/** A SOAP fault as what it means to us. vCenter sends them with status 500, whatever went wrong. */
export function explain(_status: number, body: unknown): Fault | undefined {
  if (!isElement(body) || body.name !== 'Envelope') return undefined
  const fault = at(body, 'Body', 'Fault')
  if (!fault) return undefined
  const [what] = at(fault, 'detail')?.children ?? []
  return meaningOf(what)
}

/** Also of the `error` of a task: an element whose type, or else whose name, is the fault's. */
export function meaningOf(what: XmlElement | undefined): Fault {
  const type = what?.attributes['type'] ?? what?.name.replace(/Fault$/, '') ?? ''
  const name = /^(?:\w{1,20}:)?(\w{1,60})$/.exec(type)?.[1] ?? 'an unknown fault'
  // The name is the system's own word, which could be that of something that every object has.
  const known = Object.hasOwn(meanings, name) ? meanings[name] : undefined
  if (!known) return { type: 'upstream-failed', detail: `vCenter reports ${name}.` }
  if (name !== 'NoPermission') return known
  const privilege = /^[\w.]{1,80}$/.exec(textAt(what, 'privilegeId') ?? '')?.[0]
  return {
    ...known,
    detail: `The vCenter account lacks ${privilege ? `the privilege ${privilege}` : 'a privilege'} for this.`,
  }
}

const meanings: Readonly<Record<string, Fault>> = {
  // Sent before anything is done, so the call can be repeated with a new session.
  NotAuthenticated: { type: 'upstream-denied', detail: 'The vCenter session has ended.', sessionOver: true },
  InvalidLogin: {
    type: 'upstream-denied',
    detail: 'vCenter refused the user name or the password. Check both, and that the account is not locked or expired.',
  },
  NoPermission: { type: 'upstream-denied' },
  RestrictedVersion: {
    type: 'upstream-denied',
    detail: 'The licence of this ESXi host does not allow changes through its API.',
  },
  ManagedObjectNotFound: { type: 'not-found', detail: 'vCenter does not have this object, or not any more.' },
  InvalidPowerState: { type: 'conflict', detail: 'The power state of the virtual machine does not allow this.' },
  ToolsUnavailable: {
    type: 'conflict',
    detail: 'VMware Tools do not run in the virtual machine, so its operating system cannot be asked.',
  },
  InvalidState: { type: 'conflict', detail: 'The current state of the object does not allow this.' },
  TaskInProgress: { type: 'conflict', detail: 'Another task is at work on this object. Try again when it has ended.' },
  NotSupported: {
    type: 'conflict',
    detail: 'vCenter does not support this for this object, for example for a template.',
  },
  NotImplemented: { type: 'conflict', detail: 'This vSphere does not offer this.' },
  InvalidCollectorVersion: { type: 'conflict', detail: 'vCenter does not know from where to go on.' },
  InvalidName: { type: 'conflict', detail: 'vCenter does not take this name.' },
  SnapshotDisabled: { type: 'conflict', detail: 'Snapshots are switched off for this virtual machine.' },
  TooManySnapshotLevels: { type: 'conflict', detail: 'The virtual machine has too many snapshots on each other.' },
  FilesystemQuiesceFault: {
    type: 'conflict',
    detail: 'The file systems of the virtual machine could not be brought to rest. Try without quiesce.',
  },
  NoDiskSpace: { type: 'conflict', detail: 'The datastore has no space left for this.' },
  HostNotConnected: { type: 'upstream-failed', detail: 'The host of the virtual machine is not connected to vCenter.' },
  InvalidProperty: { type: 'upstream-invalid', detail: 'vCenter does not know a property that Atlas reads.' },
}

function isElement(body: unknown): body is XmlElement {
  return typeof body === 'object' && body !== null && 'name' in body && 'children' in body
}
