import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SimRequest } from '../lib/server.ts'
import { type Person, people } from './book.ts'

export type Account = {
  readonly person: Person
  readonly may: ReadonlySet<'see others' | 'create' | 'create for others' | 'edit exported'>
}

export type Accounts = ReturnType<typeof makeAccounts>

const legacyDelayMs = 200
const mostFailures = 5

/** API tokens; the scheme is matched as it is spelt. The legacy pair of headers is slow and gives up after five failures a minute. */
export function makeAccounts(clock: { now: () => Date }) {
  const secret = () => randomBytes(20).toString('hex')
  const tokens = {
    /** May see everybody's times and change nothing. */
    reader: secret(),
    /** May see its own times only. */
    own: secret(),
    writer: secret(),
    admin: secret(),
  }
  const personOf = (id: number) => people.find((person) => person.id === id) ?? people[0]
  const accounts = new Map<string, Account>([
    [tokens.reader, { person: personOf(4), may: new Set(['see others']) }],
    [tokens.own, { person: personOf(2), may: new Set(['create']) }],
    [tokens.writer, { person: personOf(5), may: new Set(['see others', 'create', 'create for others']) }],
    [
      tokens.admin,
      { person: personOf(1), may: new Set(['see others', 'create', 'create for others', 'edit exported']) },
    ],
  ])
  const failures: number[] = []

  return {
    tokens,
    async accountOf({ headers }: SimRequest): Promise<Account | 400 | 401> {
      const bearer = /^Bearer (\S+)$/.exec(headers.authorization ?? '')?.[1]
      if (bearer !== undefined) return accounts.get(bearer) ?? 401
      const user = headers['x-auth-user']
      if (user === undefined) return 401
      const now = clock.now().getTime()
      if (failures.filter((at) => now - at < 60_000).length >= mostFailures) return 400
      await sleep(legacyDelayMs)
      const account = accounts.get(String(headers['x-auth-token']))
      if (account?.person.username === user) return account
      failures.push(now)
      return 401
    },
  }
}
