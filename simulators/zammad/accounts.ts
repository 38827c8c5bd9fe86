import { randomBytes } from 'node:crypto'

export type Account = {
  readonly login: string
  readonly roles: readonly string[]
  /** Of the user and the token together. */
  readonly permissions: readonly string[]
  /** Whether the user may change tickets of its groups. */
  readonly mayChange: boolean
  readonly expired?: true
}

export type Accounts = ReturnType<typeof makeAccounts>

/** Tokens with their subset of permissions, and one user with a password. */
export function makeAccounts() {
  const secret = () => randomBytes(32).toString('base64url')
  const agent = { roles: ['Agent'], permissions: ['ticket.agent'] }
  const names = {
    reader: secret(),
    writer: secret(),
    admin: secret(),
    /** Made without ticket.agent. */
    narrow: secret(),
    expired: secret(),
  }
  const accounts = new Map<string, Account>([
    [names.reader, { login: 'atlas@example.net', ...agent, mayChange: false }],
    [names.writer, { login: 'atlas-notes@example.net', ...agent, mayChange: true }],
    [
      names.admin,
      { login: 'root@example.net', roles: ['Admin', 'Agent'], permissions: ['admin', 'ticket.agent'], mayChange: true },
    ],
    [
      names.narrow,
      { login: 'atlas@example.net', roles: ['Agent'], permissions: ['user_preferences'], mayChange: false },
    ],
    [names.expired, { login: 'atlas@example.net', ...agent, mayChange: false, expired: true }],
  ])
  const password = secret()
  const settings = { tokenAccess: true, passwordAccess: true }

  return {
    names,
    password,
    settings,
    /** Whose request this is, or why it is nobody's. */
    accountOf(authorization: string | undefined): Account | string {
      const token = /^Token token="?([^"]+)"?$/.exec(authorization ?? '')?.[1]
      if (token !== undefined) {
        if (!settings.tokenAccess) return 'API token access disabled!'
        const account = accounts.get(token)
        if (!account) return 'Invalid BasicAuth/Token credentials'
        return account.expired ? 'Not authorized (token expired)!' : account
      }
      const basic = /^Basic (.+)$/.exec(authorization ?? '')?.[1]
      if (basic === undefined) return 'Authentication required'
      if (!settings.passwordAccess) return 'API password access disabled!'
      const given = Buffer.from(basic, 'base64').toString('utf8')
      const reader = accounts.get(names.reader)
      return reader && given === `${reader.login}:${password}` ? reader : 'Invalid BasicAuth credentials'
    },
  }
}
