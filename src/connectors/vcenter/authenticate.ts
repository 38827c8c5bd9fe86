import type { Http, Session } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { Secret } from '../../core/secret.ts'
import { serviceOf } from './service.ts'
import { el, exchange, write } from './soap.ts'

type Credential = { readonly username: Secret; readonly password: Secret }

/** The cookie is quoted by vCenter, and goes back as it came. */
const cookie = /^vmware_soap_session=("?[\w.:/+=-]{1,300}"?)(?:;|$)/m

/** Opens a session with SessionManager.Login. It lives until half an hour passes without a call. */
export async function signIn({ http, credential }: { http: Http; credential: Credential }): Promise<Session> {
  const { sessionManager } = await serviceOf(http)
  const args = [el('userName', credential.username.reveal()), el('password', credential.password.reveal())]
  const { headers } = await exchange(http, { method: 'Login', self: sessionManager, args }, false)
  const value = cookie.exec(headers['set-cookie'] ?? '')?.[1]
  if (value === undefined) throw new Problem('upstream-invalid', 'vCenter signed in without a session cookie')
  return { values: { cookie: new Secret(value) } }
}

export function authenticate(session: Session | undefined): Record<string, string> {
  const value = session?.values['cookie']
  return value ? { cookie: `vmware_soap_session=${value.reveal()}` } : {}
}

/** A session left behind would count towards vCenter's limit until it ends by itself. */
export async function signOut({ http }: { http: Http }): Promise<void> {
  const { sessionManager } = await serviceOf(http)
  await write(http, { method: 'Logout', self: sessionManager })
}
