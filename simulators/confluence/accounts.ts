import { randomBytes } from 'node:crypto'
import type { SimRequest } from '../lib/server.ts'
import { type Person, people, type SimPage } from './rows.ts'
import type { Store } from './store.ts'

export type Account = {
  readonly person: Person
  readonly email: string
  readonly token: string
  readonly groups: readonly string[]
  readonly canWrite: boolean
  readonly isAdmin: boolean
}

/** A reader, a writer, and an administrator who sees restricted pages as well. */
export function makeAccounts() {
  const account = (name: string, more: Partial<Account>): Account => ({
    person: { accountId: `712020:${name}`, name: `Atlas ${name}` },
    email: `atlas-${name}@example.net`,
    token: `ATATT3x${randomBytes(24).toString('base64url')}`,
    groups: ['users'],
    canWrite: false,
    isAdmin: false,
    ...more,
  })
  const names = {
    reader: account('reader', {}),
    writer: account('writer', { canWrite: true }),
    admin: account('admin', { canWrite: true, isAdmin: true }),
  }
  return { names, all: Object.values(names) }
}

/** Cloud: Basic with e-mail and API token. Data Center: a bearer token. */
export function authenticate(all: readonly Account[], { headers }: SimRequest, isCloud: boolean): Account | undefined {
  const given = headers.authorization ?? ''
  return all.find(({ email, token }) =>
    isCloud ? given === `Basic ${Buffer.from(`${email}:${token}`).toString('base64')}` : given === `Bearer ${token}`,
  )
}

/** A restriction of a page holds for the pages below it. */
export function canRead({ isAdmin, groups }: Account, store: Store, page: SimPage): boolean {
  const chain = [...store.ancestors(page.id), page]
  return (
    isAdmin ||
    (page.space !== 'HR' && chain.every(({ readers }) => !readers || readers.some((one) => groups.includes(one))))
  )
}

export const stranger: Account = {
  person: people[0] as Person,
  email: '',
  token: '',
  groups: [],
  canWrite: false,
  isAdmin: false,
}
