import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { Problem } from '../../core/problem.ts'
import { SecretValue } from '../../core/secret.ts'
import { readJson } from './body.ts'
import { pagePolicy } from './headers.ts'
import type { HttpDoorParts } from './parts.ts'
import type { Exchange, Route } from './route.ts'
import { setupPage } from './setup-page.ts'

const username = z.string().min(1).max(128).describe('Name to sign in with.')

/** What `POST /api/v1/login` takes. */
export const loginInput = z.strictObject({ username, password: SecretValue.describe('Password of the user.') })

/** What `POST /api/v1/setup` takes. */
export const setupInput = z.strictObject({
  setupToken: SecretValue.describe('The one-time token from the setup link that the server printed.'),
  username,
  password: SecretValue.describe('Password for the new administrator.'),
})

/** What both answer. */
export const signedIn = z.object({
  token: z.string().describe('Bearer token; shown once.'),
  expiresAt: z.string().describe('When the token ends (ISO 8601, UTC).'),
})

type Parts = Pick<HttpDoorParts, 'login' | 'setup' | 'unauthenticatedLimit'>

/** The two ways to get a first token, and the page for the first one. Each attempt costs its source network. */
export function signInRoutes({ login, setup, unauthenticatedLimit }: Parts): readonly Route[] {
  const attempt = async <I>({ request, remoteAddress }: Exchange, input: z.ZodType<I>): Promise<I> => {
    unauthenticatedLimit(remoteAddress)
    return parse(input, await readJson(request.raw))
  }
  const routes: Route[] = []
  if (login)
    routes.push({
      method: 'POST',
      path: '/api/v1/login',
      public: true,
      events: ['login.succeeded', 'login.failed'],
      handle: async (exchange) => login(await attempt(exchange, loginInput), exchange.remoteAddress),
    })
  if (setup)
    routes.push(
      {
        method: 'POST',
        path: '/api/v1/setup',
        public: true,
        events: ['setup.started', 'setup.completed', 'setup.failed'],
        handle: async (exchange) => setup(await attempt(exchange, setupInput), exchange.remoteAddress),
      },
      { method: 'GET', path: '/setup', public: true, events: [], handle: sendSetupPage },
    )
  return routes
}

async function sendSetupPage({ reply }: Exchange): Promise<unknown> {
  const nonce = randomBytes(18).toString('base64')
  void reply.header('content-security-policy', pagePolicy(nonce)).type('text/html; charset=utf-8')
  return reply.send(setupPage(nonce))
}

function parse<I>(schema: z.ZodType<I>, value: unknown): I {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  // The names of unknown fields are not repeated: whoever is not signed in learns nothing of what they typed.
  const faults = result.error.issues.map(({ code, path, message }) => ({
    field: `/${path.join('/')}`,
    rule: code === 'unrecognized_keys' ? 'There is a field that is not known here' : message,
  }))
  throw new Problem('invalid-input', 'The input does not match', { faults })
}
