import { z } from 'zod'
import type { Http, Outgoing, Session } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { Secret } from '../../core/secret.ts'
import { call, isAtLeast, methodOf, versionOf } from './rpc.ts'

type Credential = {
  readonly token?: Secret | undefined
  readonly username?: Secret | undefined
  readonly password?: Secret | undefined
}

// A session holds one value, named after the place where this version of Zabbix takes it: `body` before 6.4, `bearer` since.
// 7.2 refuses requests that have it in the body, so it is never sent in both.

/** Finds out how this version is signed in to; with a user name and password, opens a session. */
export async function signIn({ credential, http }: { credential: Credential; http: Http }): Promise<Session> {
  const place = isAtLeast(await versionOf(http), 6, 4) ? 'bearer' : 'body'
  return { values: { [place]: credential.token ?? (await login(credential, http)) } }
}

async function login({ username, password }: Credential, http: Http): Promise<Secret> {
  if (!username || !password) throw new Problem('upstream-denied', 'The connection has neither a token nor a password.')
  const names = { username: username.reveal(), password: password.reveal() }
  return new Secret(await call(http, 'user.login', names, z.string().min(16).max(128)))
}

/** Before 6.4: the credential in the body. The question who we are takes it as its parameter, in every version. */
export function signBody(credential: Credential, { body }: Outgoing, session: Session | undefined): string | undefined {
  const { method, request } = methodOf(body)
  if (method === 'user.checkAuthentication') {
    const own = session?.values['bearer'] ?? session?.values['body']
    const params = { [credential.token ? 'token' : 'sessionid']: own?.reveal() }
    return JSON.stringify({ ...request, params })
  }
  const auth = session?.values['body']
  return auth && !isOpen(method) ? JSON.stringify({ ...request, auth: auth.reveal() }) : undefined
}

/** Since 6.4: the credential in the header. */
export function authenticate(_: Credential, { body }: Outgoing, session: Session | undefined): Record<string, string> {
  const bearer = session?.values['bearer']
  return bearer && !isOpen(methodOf(body).method) ? { authorization: `Bearer ${bearer.reveal()}` } : {}
}

/** Ends the session of a user name and password. With an API token there is none, and Zabbix refuses without effect. */
export async function signOut({ http }: { http: Http }): Promise<void> {
  await call(http, 'user.logout', [], z.unknown())
}

/** Zabbix refuses these when a credential comes with them. */
function isOpen(method: string): boolean {
  return method === 'apiinfo.version' || method === 'user.checkAuthentication'
}
