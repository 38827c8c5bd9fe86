import { randomBytes } from 'node:crypto'
import type { SimRequest } from '../lib/server.ts'
import type { Person, SimIssue } from './rows.ts'

export type Account = {
  readonly person: Person
  readonly email: string
  readonly token: string
  readonly canComment: boolean
  readonly isAdmin: boolean
}

/** A reader, one who may comment, and an administrator who sees every security level. */
export function makeAccounts() {
  const account = (name: string, more: Partial<Account> = {}): Account => ({
    person: { id: `712020:${name}`, name: `Atlas ${name}` },
    email: `atlas-${name}@example.net`,
    token: `ATATT3x${randomBytes(24).toString('base64url')}`,
    canComment: false,
    isAdmin: false,
    ...more,
  })
  const names = {
    reader: account('reader'),
    writer: account('writer', { canComment: true }),
    admin: account('admin', { canComment: true, isAdmin: true }),
  }
  return { names, all: Object.values(names) }
}

export function authenticate(all: readonly Account[], { headers }: SimRequest, isCloud: boolean): Account | undefined {
  const given = headers.authorization ?? ''
  return all.find(({ email, token }) =>
    isCloud ? given === `Basic ${Buffer.from(`${email}:${token}`).toString('base64')}` : given === `Bearer ${token}`,
  )
}

export function canSee({ isAdmin }: Account, { project, level }: SimIssue): boolean {
  return isAdmin || (project !== 'HRX' && level === undefined)
}
