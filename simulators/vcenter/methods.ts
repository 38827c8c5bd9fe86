import type { XmlElement } from '../../src/core/connector.ts'
import { type Collector, notFound } from './collector.ts'
import { invalid, VimFault } from './fault.ts'
import type { Inventory } from './inventory.ts'
import type { Machine } from './machines.ts'
import type { Account, Session } from './sessions.ts'
import type { makeTasks } from './tasks.ts'
import { isA, type Ref, refTag, tag } from './values.ts'
import { child, children, isTrue, textIn } from './xml.ts'

export type Call = { readonly session: Session; readonly self: Ref; readonly request: XmlElement }
export type Answer = { readonly body: string; readonly items: number }
type Method = (call: Call) => Answer | string

type Parts = {
  readonly inventory: Inventory
  readonly collector: Collector
  readonly tasks: ReturnType<typeof makeTasks>
  readonly queryEvents: (request: XmlElement) => Answer
  readonly now: () => Date
}

/** The methods of the API beside signing in and out, by name. */
export function makeMethods(parts: Parts): Readonly<Record<string, Method>> {
  const { inventory, collector, queryEvents, now } = parts
  return {
    ...machineMethods(parts),
    CurrentTime: () => tag('returnval', now().toISOString()),
    RetrievePropertiesEx: ({ session, request }) => collector.retrieve(session, request),
    ContinueRetrievePropertiesEx: ({ session, request }) => collector.resume(session, textIn(request, 'token') ?? ''),
    CreateFilter: ({ session, request }) => refTag('returnval', collector.createFilter(session, request)),
    WaitForUpdatesEx: ({ session, request }) => collector.updates(session, request),
    DestroyPropertyFilter: ({ session, self }) => {
      if (!session.filters.delete(self.id)) throw notFound(self)
      return ''
    },
    CreateContainerView: ({ session, request }) => {
      const types = children(request, 'type').map(({ text }) => text)
      if (types.some((type) => !isA(type, 'ManagedEntity'))) throw invalid('type')
      const id = `session[${session.key}]${inventory.state.newId('view')}`
      session.views.set(id, types)
      return refTag('returnval', { type: 'ContainerView', id })
    },
    DestroyView: ({ session, self }) => {
      if (!session.views.delete(self.id)) throw notFound(self)
      return ''
    },
    QueryEvents: ({ request }) => queryEvents(request),
    HasPrivilegeOnEntity: ({ session, request }) => {
      if (textIn(request, 'sessionId') !== session.key) throw invalid('sessionId')
      return children(request, 'privId')
        .map(({ text }) => tag('returnval', session.account.privileges.has(text)))
        .join('')
    },
  }
}

function machineMethods({ inventory, tasks }: Parts): Readonly<Record<string, Method>> {
  const { changes, machine } = inventory
  const needed = ({ account }: Session, { type, id }: Ref, privilege: string): Machine => {
    const vm = type === 'VirtualMachine' ? machine(id) : undefined
    if (!vm) throw notFound({ type, id })
    checkPrivilege(account, { type, id }, privilege)
    return vm
  }
  const power =
    (name: string, privilege: string, to: Machine['power'], from: readonly Machine['power'][]): Method =>
    ({ session, self }) => {
      needed(session, self, privilege)
      const task = tasks.start(`VirtualMachine.${name}`, self, () => {
        const vm = machine(self.id)
        if (!vm) throw notFound(self)
        if (!from.includes(vm.power)) throw wrongPower(vm, to)
        changes.power(self.id, to)
        return undefined
      })
      return refTag('returnval', task)
    }
  const guest =
    (privilege: string, done: (id: string) => void): Method =>
    ({ session, self }) => {
      const vm = needed(session, self, privilege)
      if (vm.power !== 'poweredOn') throw wrongPower(vm, 'poweredOn')
      if (vm.hostName === '')
        throw new VimFault('ToolsUnavailable', 'Cannot complete operation because VMware Tools is not running.')
      done(self.id)
      return ''
    }
  const interact = (what: string) => `VirtualMachine.Interact.${what}`
  return {
    PowerOnVM_Task: power('powerOn', interact('PowerOn'), 'poweredOn', ['poweredOff', 'suspended']),
    PowerOffVM_Task: power('powerOff', interact('PowerOff'), 'poweredOff', ['poweredOn', 'suspended']),
    SuspendVM_Task: power('suspend', interact('Suspend'), 'suspended', ['poweredOn']),
    ResetVM_Task: power('reset', interact('Reset'), 'poweredOn', ['poweredOn']),
    ShutdownGuest: guest(interact('PowerOff'), (id) => changes.power(id, 'poweredOff')),
    RebootGuest: guest(interact('Reset'), () => {}),
    CreateSnapshot_Task: ({ session, self, request }) => {
      needed(session, self, 'VirtualMachine.State.CreateSnapshot')
      const name = textIn(request, 'name') ?? ''
      const description = textIn(request, 'description') ?? ''
      const work = (): Ref => ({ type: 'VirtualMachineSnapshot', id: changes.snapshot(self.id, name, description) })
      return refTag('returnval', tasks.start('VirtualMachine.createSnapshot', self, work))
    },
    RemoveSnapshot_Task: ({ session, self, request }) => {
      const vm = changes.machineOf(self.id)
      if (vm === undefined) throw notFound(self)
      checkPrivilege(session.account, self, 'VirtualMachine.State.RemoveSnapshot')
      const withChildren = isTrue(child(request, 'removeChildren'))
      const entity = { type: 'VirtualMachine', id: vm }
      const task = tasks.start('VirtualMachineSnapshot.remove', entity, () => {
        changes.removeSnapshot(self.id, withChildren)
        return undefined
      })
      return refTag('returnval', task)
    },
  }
}

export function checkPrivilege({ privileges }: Account, ref: Ref, privilege: string): void {
  if (privileges.has(privilege)) return
  throw new VimFault(
    'NoPermission',
    'Permission to perform this operation was denied.',
    refTag('object', ref) + tag('privilegeId', privilege),
  )
}

function wrongPower({ power }: Machine, wanted: string): VimFault {
  return new VimFault(
    'InvalidPowerState',
    'The attempted operation cannot be performed in the current state.',
    tag('requestedState', wanted) + tag('existingState', power),
  )
}
