import { z } from 'zod'
import type { Fault } from '../../core/connector.ts'

/** https://www.zabbix.com/documentation/6.0/en/manual/api "Error handling": every error comes with HTTP 200. */
const Failed = z.object({ error: z.object({ code: z.int(), data: z.string().catch('') }) })

/** Zabbix's error as our own sentence: its text can quote parameters, and its `debug` the stack. */
export function explain(_status: number, body: unknown): Fault | undefined {
  const { error } = Failed.safeParse(body).data ?? {}
  if (!error) return undefined
  const known = sayings.find(([pattern]) => pattern.test(error.data))
  if (known) return known[1](error.data)
  return { type: 'upstream-failed', detail: byCode[error.code] ?? `Zabbix failed inside (code ${error.code}).` }
}

const denied = (detail: string): Fault => ({ type: 'upstream-denied', detail })

// Texts differ in spelling between versions ("authorised", "authorized").
const sayings: readonly (readonly [RegExp, (data: string) => Fault])[] = [
  [
    /^Session terminated/i,
    () => ({
      ...denied('Zabbix ended the session: sign-in works, but the session is not accepted.'),
      sessionOver: true,
    }),
  ],
  [
    /^Not authori[sz]ed/i,
    () => ({
      ...denied('Zabbix does not know this API token, or the token or its user is disabled. Create a new token.'),
      sessionOver: true,
    }),
  ],
  [
    // An upgrade to 7.2 under a session that was opened before it.
    /unexpected parameter "auth"/,
    () => ({ ...denied('This Zabbix does not take the credential in the body.'), sessionOver: true }),
  ],
  [/^API token expired/i, () => denied('The Zabbix API token has expired. Create a new one.')],
  [
    /^(?:Incorrect user name or password|Login name or password is incorrect)/i,
    () => denied('Zabbix refused the user name or password, or blocks the account for a while after failed sign-ins.'),
  ],
  [/^No permissions to call "/i, (data) => denied(`The role of the Zabbix account may not call ${methodIn(data)}.`)],
  [
    /no permissions to (?:un)?acknowledge problems/i,
    () => denied('The role of the Zabbix account lacks the action "Acknowledge problems".'),
  ],
  [
    /no permissions to add problem comments/i,
    () => denied('The role of the Zabbix account lacks the action "Add problem comments".'),
  ],
  [
    /^No permissions to referred object/i,
    () => ({
      type: 'not-found',
      detail: 'Zabbix has no such object, or the account may not see it or change it.',
    }),
  ],
  [/already exists/i, () => ({ type: 'conflict', detail: 'Zabbix already has an object with this name.' })],
  [/under maintenance/i, () => ({ type: 'upstream-busy', detail: 'The Zabbix web interface is under maintenance.' })],
]

const byCode: Readonly<Record<number, string>> = {
  1: 'The Zabbix web interface is not set up or cannot reach its database.',
  [-32600]: 'Zabbix refused the form of the request.',
  [-32601]: 'Zabbix does not know a method that is needed: versions before 6.0 are not supported.',
  [-32602]: 'Zabbix refused the parameters of the request.',
  [-32700]: 'Zabbix could not read the request: a proxy may change it.',
}

/** Only what has the form of a method's name is repeated. */
function methodIn(data: string): string {
  return /"([a-z]{1,40}\.[a-z]{1,40})"/i.exec(data)?.[1] ?? 'this method'
}
