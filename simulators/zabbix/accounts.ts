import { randomBytes } from 'node:crypto'

/** Type 1 User, 2 Admin, 3 Super admin. `isAllowList`: only `methods` may be called; otherwise all but them. */
export type Role = {
  readonly roleid: string
  readonly name: string
  readonly type: 1 | 2 | 3
  readonly isAllowList: boolean
  readonly methods: readonly string[]
  readonly actions: readonly string[]
}

export type User = {
  readonly userid: string
  readonly username: string
  readonly password: string
  readonly role: Role
  /** Whether its user group may read the host groups. */
  readonly seesHosts: boolean
}

export type Refusal = { readonly code: number; readonly data: string }

const reads = ['host.get', 'hostgroup.get', 'problem.get', 'trigger.get', 'maintenance.get', 'role.get', 'user.logout']
const roles = {
  reader: { roleid: '5', name: 'Atlas', type: 1, isAllowList: true, methods: reads, actions: [] },
  operator: {
    roleid: '6',
    name: 'Atlas operator',
    type: 2,
    isAllowList: true,
    methods: [...reads, 'event.acknowledge', 'maintenance.create'],
    actions: ['acknowledge_problems', 'add_problem_comments', 'edit_maintenance'],
  },
  user: { roleid: '1', name: 'User role', type: 1, isAllowList: false, methods: [], actions: [] },
  secret: { roleid: '7', name: 'Bare', type: 1, isAllowList: true, methods: reads.slice(0, 4), actions: [] },
  super: { roleid: '3', name: 'Super admin role', type: 3, isAllowList: false, methods: [], actions: [] },
} as const satisfies Record<string, Role>

const attempts = 5
const blockMs = 30_000
/** The user profile's auto-logout; 15 minutes unless changed. */
const autologoutMs = 15 * 60_000

const badLogin = 'Incorrect user name or password or account is temporarily blocked.'
const terminated: Refusal = { code: -32602, data: 'Session terminated, re-login, please.' }
const unknown: Refusal = { code: -32602, data: 'Not authorized.' }

/** Users, API tokens and sessions, with the block after failed sign-ins. */
export function makeAccounts(now: () => Date) {
  const user = (userid: number, username: string, role: Role, seesHosts = true): User => ({
    userid: String(userid),
    username,
    password: randomBytes(12).toString('base64url'),
    role,
    seesHosts,
  })
  const users = {
    reader: user(3, 'atlas', roles.reader),
    operator: user(4, 'atlas-operator', roles.operator),
    user: user(5, 'someone', roles.user),
    bare: user(6, 'bare', roles.secret),
    blind: user(7, 'blind', roles.reader, false),
    super: user(1, 'Admin', roles.super),
  }
  const tokens = new Map<string, { user: User; enabled: boolean; expiresAt: number }>()
  const sessions = new Map<string, { user: User; lastAccess: number }>()
  const failures = new Map<string, { count: number; at: number }>()

  function token(of: User, { enabled = true, expiresAt = 0 } = {}): string {
    const value = randomBytes(32).toString('hex')
    tokens.set(value, { user: of, enabled, expiresAt })
    return value
  }

  /** Tokens are 64 characters long, sessions 32: Zabbix tells them apart by that. */
  function authenticate(auth: string | undefined): User | Refusal {
    if (!auth) return unknown
    return auth.length === 64 ? ofToken(auth) : ofSession(auth)
  }

  function ofToken(value: string): User | Refusal {
    const found = tokens.get(value)
    if (!found?.enabled) return unknown
    if (found.expiresAt !== 0 && found.expiresAt < now().getTime()) return { code: -32500, data: 'API token expired.' }
    return found.user
  }

  function ofSession(id: string): User | Refusal {
    const found = sessions.get(id)
    const at = now().getTime()
    if (!found || found.lastAccess + autologoutMs <= at) return terminated
    found.lastAccess = at
    return found.user
  }

  function login(username: unknown, password: unknown): string | Refusal {
    const found = Object.values(users).find((one) => one.username === username)
    if (!found) return { code: -32602, data: badLogin }
    const at = now().getTime()
    const failed = failures.get(found.username)
    if (failed && failed.count >= attempts && failed.at + blockMs > at) return { code: -32500, data: badLogin }
    if (found.password !== password) {
      failures.set(found.username, { count: (failed?.count ?? 0) + 1, at })
      return { code: -32500, data: badLogin }
    }
    failures.delete(found.username)
    const id = randomBytes(16).toString('hex')
    sessions.set(id, { user: found, lastAccess: at })
    return id
  }

  const names = {
    reader: token(users.reader),
    operator: token(users.operator),
    user: token(users.user),
    bare: token(users.bare),
    blind: token(users.blind),
    super: token(users.super),
    disabled: token(users.reader, { enabled: false }),
    expired: token(users.reader, { expiresAt: now().getTime() - 1000 }),
  }
  return {
    users,
    tokens: names,
    roles: Object.values(roles) as readonly Role[],
    authenticate,
    ofToken,
    ofSession,
    login,
    logout: (id: string): boolean => sessions.delete(id),
    endSessions: (): void => sessions.clear(),
    sessionCount: (): number => sessions.size,
  }
}

export type Accounts = ReturnType<typeof makeAccounts>

/** As Zabbix judges it: methods above the user's type are refused whatever the role says; an empty list restricts nothing. */
export function mayCall({ role }: User, method: string, leastType: number): boolean {
  if (role.type < leastType) return false
  if (role.methods.length === 0) return true
  return role.methods.includes(method) === role.isAllowList
}
