import { z } from 'zod'
import type { Connector, CredentialOf, Http, Outgoing, Session } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { Secret } from '../../core/secret.ts'
import type { Config } from './api.ts'
import { Login, Renewed } from './schema.ts'

const minutes = 60_000
/** Shorter than the 30 idle minutes after which a login's token dies, so that it is replaced before. */
const loginLasts = 25 * minutes

const Field = z.string().min(1).max(4000)

export const Credential = z
  .strictObject({
    username: Field.max(500).optional().describe('User name, with its domain if it has one: domain\\user.'),
    password: Field.max(500).optional().describe("The user's password."),
    accessToken: Field.optional().describe('Access token of a service user, instead of name and password.'),
    refreshToken: Field.optional().describe('The refresh token that was shown together with the access token.'),
  })
  .refine(
    ({ username, password, accessToken, refreshToken }) =>
      (username !== undefined && password !== undefined && accessToken === undefined && refreshToken === undefined) ||
      (username === undefined && password === undefined && accessToken !== undefined && refreshToken !== undefined),
    'must be a username and a password, or an accessToken and a refreshToken',
  )
type Credential = CredentialOf<typeof Credential>

/** A login's token goes into Authtoken with its QSDK prefix, an access token into Authorization. */
export function authenticate(_: Credential, request: Outgoing, session: Session | undefined): Record<string, string> {
  const { login, access } = session?.values ?? {}
  if (login) return { authtoken: login.reveal() }
  // An access token has no session to end, and what a logout would do to its chain is not documented.
  if (!access || request.target.endsWith('/Logout')) return {}
  return { authorization: `Bearer ${access.reveal()}` }
}

type SigningIn = Parameters<NonNullable<Connector['signIn']>>[0]

export async function signIn({ config, credential, http, now }: SigningIn): Promise<Session> {
  const { username, password, accessToken, refreshToken } = credential as Credential
  const { apiPath } = config as Config
  if (accessToken && refreshToken) return renew({ http, apiPath, accessToken, refreshToken, now })
  if (!username || !password)
    throw new Problem('upstream-denied', 'The Commvault connection has neither a password nor a pair of tokens stored')
  const { body } = await http.exchange(
    {
      method: 'POST',
      path: `${apiPath}/Login`,
      body: { username: username.reveal(), password: Buffer.from(password.reveal(), 'utf8').toString('base64') },
    },
    z.union([z.null(), Login]),
  )
  if (!body) throw new Problem('upstream-invalid', 'Commvault answered the login with an empty body')
  if (!body.token) throw new Problem('upstream-denied', 'Commvault answered the login without a token')
  return { values: { login: new Secret(body.token) }, expiresAt: new Date(now().getTime() + loginLasts) }
}

type Renewing = {
  readonly http: Http
  readonly apiPath: string
  readonly accessToken: Secret
  readonly refreshToken: Secret
  readonly now: () => Date
}

/**
 * Trades the stored pair for a new one. Using an older pair a second time deletes the whole chain at Commvault, so the hub
 * renews one at a time and stores the new pair before it is used. When the answer is lost, so is the chain.
 */
async function renew({ http, apiPath, accessToken, refreshToken, now }: Renewing): Promise<Session> {
  const { body } = await http
    .exchange(
      {
        method: 'POST',
        path: `${apiPath}/V4/AccessToken/Renew`,
        headers: { authorization: `Bearer ${accessToken.reveal()}` },
        body: { accessToken: accessToken.reveal(), refreshToken: refreshToken.reveal() },
      },
      z.union([z.null(), Renewed]),
    )
    .catch(renewalProblem)
  if (!body) throw new Problem('upstream-invalid', 'Commvault answered the renewal of the access token with nothing')
  const access = new Secret(body.accessToken)
  const ends = (body.tokenExpiryTimestamp ?? 0) * 1000
  return {
    values: { access },
    expiresAt: new Date(ends > now().getTime() ? ends : now().getTime() + loginLasts),
    credential: { accessToken: access, refreshToken: new Secret(body.refreshToken) },
  }
}

function renewalProblem(error: unknown): never {
  if (error instanceof Problem && error.type === 'upstream-denied')
    throw new Problem(
      'upstream-denied',
      'Commvault did not renew the access token: it is too old or was renewed elsewhere. Create a new one and store both its tokens.',
      { cause: error },
    )
  throw error
}

export const signOut: NonNullable<Connector['signOut']> = async ({ config, http }) => {
  await http.send('POST', `${(config as Config).apiPath}/Logout`, z.unknown())
}
