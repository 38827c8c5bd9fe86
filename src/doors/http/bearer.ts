import type { IncomingMessage } from 'node:http'
import type { FastifyRequest } from 'fastify'
import { Problem } from '../../core/problem.ts'
import type { HttpDoorConfig } from './parts.ts'

/** The token of the one `Authorization: Bearer` header (RFC 6750 §2.1). Bodies, cookies and queries are not looked at. */
export function readBearer(raw: IncomingMessage): string {
  const values = headerValues(raw, 'authorization')
  const [value] = values
  if (value === undefined) throw new Problem('unauthenticated', 'Send the header Authorization: Bearer <token>')
  const token = values.length === 1 ? /^bearer ([\w.~+/-]{1,4096}=*)$/i.exec(value)?.[1] : undefined
  if (token === undefined) throw new Problem('unauthenticated', 'The Authorization header is not one bearer token')
  return token
}

/** Where an MCP client learns how to get a token (RFC 9728 §5.1). */
export function challenge(request: FastifyRequest, config: HttpDoorConfig): string {
  const path = request.routeOptions.url === '/mcp' ? '/mcp' : ''
  return `Bearer resource_metadata="${originOf(request, config)}/.well-known/oauth-protected-resource${path}"`
}

/** This server's origin as the client knows it. `Host` was compared with the allowed names before any handler ran. */
export function originOf(request: FastifyRequest, { publicUrl }: HttpDoorConfig): string {
  if (publicUrl !== undefined) return new URL(publicUrl).origin
  return `${request.protocol}://${request.raw.headers.host ?? 'localhost'}`
}

/** Every value that was sent under a name; `headers` would silently keep the first of several. */
export function headerValues({ rawHeaders }: IncomingMessage, name: string): readonly string[] {
  const values: string[] = []
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (rawHeaders[i]?.toLowerCase() === name) values.push(rawHeaders[i + 1] ?? '')
  return values
}
