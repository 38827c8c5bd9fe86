import { randomBytes, randomUUID } from 'node:crypto'
import type { FilterSpec, Page } from './collector.ts'
import { VimFault } from './fault.ts'

export type Session = {
  readonly key: string
  readonly account: Account
  readonly loginTime: Date
  lastActive: number
  /** Types that a view shows. */
  readonly views: Map<string, readonly string[]>
  readonly filters: Map<string, FilterSpec>
  /** Answers that go on, by token. */
  readonly pages: Map<string, Page>
  /** The first updates that are still being told. */
  initial: Page | undefined
  /** Versions of updates that may be gone on from. */
  versions: readonly string[]
}

export type Account = { readonly name: string; readonly password: string; readonly privileges: ReadonlySet<string> }

const readPrivileges = ['System.Anonymous', 'System.View', 'System.Read']
const operatorPrivileges = [
  'VirtualMachine.Interact.PowerOn',
  'VirtualMachine.Interact.PowerOff',
  'VirtualMachine.Interact.Suspend',
  'VirtualMachine.Interact.Reset',
  'VirtualMachine.State.CreateSnapshot',
  'VirtualMachine.State.RemoveSnapshot',
]

export function makeAccounts() {
  const account = (name: string, privileges: readonly string[]): Account => ({
    name: `${name}@vsphere.local`,
    password: `<&"'>${randomBytes(12).toString('base64url')}`,
    privileges: new Set([...readPrivileges, ...privileges]),
  })
  return {
    reader: account('atlas', []),
    operator: account('atlas-operator', operatorPrivileges),
    administrator: account('administrator', [
      ...operatorPrivileges,
      'Authorization.ModifyPermissions',
      'VirtualMachine.Inventory.Delete',
    ]),
  }
}

/** Sessions by cookie. One that nobody used for `idleMs` has ended. */
export function makeSessions(accounts: readonly Account[], now: () => Date, idleMs: number) {
  const open = new Map<string, Session>()
  return {
    open,
    login(name: string, password: string): { cookie: string; session: Session } {
      const account = accounts.find((one) => one.name === name && one.password === password)
      if (!account)
        throw new VimFault('InvalidLogin', 'Cannot complete login due to an incorrect user name or password.')
      const cookie = randomBytes(20).toString('hex')
      const session: Session = {
        key: randomUUID(),
        account,
        loginTime: now(),
        lastActive: now().getTime(),
        views: new Map(),
        filters: new Map(),
        pages: new Map(),
        initial: undefined,
        versions: [],
      }
      open.set(cookie, session)
      return { cookie, session }
    },
    find(header: string | undefined): { cookie: string; session: Session } | undefined {
      const cookie = /(?:^|; )vmware_soap_session="([0-9a-f]{40})"/.exec(header ?? '')?.[1]
      const session = cookie === undefined ? undefined : open.get(cookie)
      if (!session || cookie === undefined) return undefined
      if (now().getTime() - session.lastActive > idleMs) {
        open.delete(cookie)
        return undefined
      }
      session.lastActive = now().getTime()
      return { cookie, session }
    },
  }
}
