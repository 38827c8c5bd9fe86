import { randomBytes } from 'node:crypto'

export type Account = { readonly login: string; readonly admin: boolean; readonly permissions: readonly string[] }

export const hostPermissions = [
  'view_hosts',
  'create_hosts',
  'edit_hosts',
  'destroy_hosts',
  'build_hosts',
  'power_hosts',
]

const minutes = 60_000

/** Users with one personal access token each. Thirty failures from an address block it for five minutes, as Foreman does. */
export function makeAccounts(now: () => Date, failureLimit = 30) {
  const accounts = {
    reader: { login: 'atlas', admin: false, permissions: ['view_hosts', 'view_audit_logs'] },
    /** May not view audits. */
    narrow: { login: 'atlas-narrow', admin: false, permissions: ['view_hosts'] },
    writer: { login: 'atlas-writer', admin: false, permissions: ['view_hosts', 'view_audit_logs', 'edit_hosts'] },
    admin: { login: 'admin', admin: true, permissions: [...hostPermissions, 'view_audit_logs'] },
    disabled: { login: 'leaver', admin: false, permissions: ['view_hosts'] },
  } satisfies Record<string, Account>
  const token = () => randomBytes(16).toString('base64url')
  const credential = (login: string) => ({ username: login, token: token() })
  const credentials = {
    reader: credential(accounts.reader.login),
    narrow: credential(accounts.narrow.login),
    writer: credential(accounts.writer.login),
    admin: credential(accounts.admin.login),
    disabled: credential(accounts.disabled.login),
  }
  const failures = new Map<string, { count: number; until: number }>()

  function failuresOf(address: string) {
    const known = failures.get(address)
    return known && known.until > now().getTime() ? known : { count: 0, until: now().getTime() + 5 * minutes }
  }

  return {
    credentials,
    /** The account, or the message of the 401. */
    authenticate(header: string | undefined, address: string): Account | string {
      const failed = failuresOf(address)
      if (failed.count >= failureLimit) return 'Too many tries, please try again in a few minutes.'
      const [login = '', secret = ''] = Buffer.from(header?.replace(/^Basic /, '') ?? '', 'base64')
        .toString('utf8')
        .split(':')
      const name = (Object.keys(accounts) as (keyof typeof accounts)[]).find((one) => accounts[one].login === login)
      if (name === undefined || credentials[name].token !== secret) {
        failures.set(address, { ...failed, count: failed.count + 1 })
        return `Unable to authenticate user ${login}`
      }
      return name === 'disabled' ? 'User account is disabled, please contact your administrator' : accounts[name]
    },
  }
}
