import { randomBytes } from 'node:crypto'

const minutes = 60_000
const days = 1440 * minutes
const idleMinutes = 30
const accessMinutes = 30
const renewableDays = 14
const mostFailures = 5

type Account = { readonly name: string; readonly password: string; readonly mayWrite: boolean }
type Pair = { access: string; refresh: string; accessEnds: number; refreshEnds: number }
/** All pairs that came from one created token; the last one is current. */
type Chain = { readonly account: Account; readonly pairs: Pair[]; deleted: boolean }

export type Accounts = ReturnType<typeof makeAccounts>

/** Users, login tokens that die when idle, and access tokens in chains that die when an old pair is used again. */
export function makeAccounts(clock: { now: () => Date }) {
  const reader: Account = { name: 'atlas', password: secret(), mayWrite: false }
  const writer: Account = { name: 'atlas-operator', password: secret(), mayWrite: true }
  const accounts = [reader, writer]
  const logins = new Map<string, { account: Account; usedAt: number }>()
  const chains: Chain[] = []
  let failures = 0
  let lockedUntil = 0
  const now = () => clock.now().getTime()

  function newPair(): Pair {
    const at = now()
    return {
      access: secret(),
      refresh: secret(),
      accessEnds: at + accessMinutes * minutes,
      refreshEnds: at + accessMinutes * minutes + renewableDays * days,
    }
  }

  return {
    reader,
    writer,
    login(name: unknown, password64: unknown) {
      const lock = { loginAttempts: failures, isAccountLocked: now() < lockedUntil, remainingLockTime: 0 }
      if (lock.isAccountLocked) {
        const remainingLockTime = Math.ceil((lockedUntil - now()) / 1000)
        return { ...lock, remainingLockTime, errList: [{ errorCode: 1129, errLogMessage: 'The account is locked.' }] }
      }
      const password = Buffer.from(String(password64), 'base64').toString('utf8')
      const account = accounts.find((one) => one.name === name && one.password === password)
      if (!account) {
        if (++failures >= mostFailures) lockedUntil = now() + 5 * minutes
        const errList = [{ errorCode: 1116, errLogMessage: `Username/Password are incorrect for ${String(name)}` }]
        return { ...lock, loginAttempts: failures, errList }
      }
      failures = 0
      const token = `QSDK ${secret()}`
      logins.set(token, { account, usedAt: now() })
      return { aliasName: '1', userName: account.name, token, errList: [], ...lock, loginAttempts: 0 }
    },
    logout: (token: string) => logins.delete(token),
    openLogins: () => logins.size,
    /** As after a restart of the web server. */
    forget: () => logins.clear(),
    /** Whose request this is. */
    accountOf(authtoken: string | undefined, authorization: string | undefined): Account | undefined {
      const login = logins.get(authtoken ?? '')
      if (login) {
        if (now() - login.usedAt > idleMinutes * minutes) return undefined
        login.usedAt = now()
        return login.account
      }
      const access = /^Bearer (.+)$/.exec(authorization ?? '')?.[1]
      const chain = chains.find(({ deleted, pairs }) => !deleted && pairs.at(-1)?.access === access)
      return chain && now() < (chain.pairs.at(-1)?.accessEnds ?? 0) ? chain.account : undefined
    },
    createToken(account: Account = reader): { accessToken: string; refreshToken: string } {
      const pair = newPair()
      chains.push({ account, pairs: [pair], deleted: false })
      return { accessToken: pair.access, refreshToken: pair.refresh }
    },
    /** A new pair for the current one. An older pair deletes its whole chain. */
    renew(access: unknown, refresh: unknown): Pair | undefined {
      const chain = chains.find(({ pairs }) => pairs.some((pair) => pair.access === access && pair.refresh === refresh))
      const current = chain?.pairs.at(-1)
      if (!chain || !current || chain.deleted) return undefined
      if (current.access !== access) {
        chain.deleted = true
        return undefined
      }
      if (now() > current.refreshEnds) return undefined
      const pair = newPair()
      chain.pairs.push(pair)
      return pair
    },
  }
}

function secret(): string {
  return randomBytes(24).toString('hex')
}
