import { originOf } from './bearer.ts'
import type { HttpDoorConfig } from './parts.ts'
import type { Route } from './route.ts'

/** The protected-resource metadata (RFC 9728 §3), for the whole server and for its MCP endpoint. */
export function metadataRoutes(config: HttpDoorConfig): readonly Route[] {
  return ['', '/mcp'].map((resource) => ({
    method: 'GET',
    path: `/.well-known/oauth-protected-resource${resource}`,
    public: true,
    events: [],
    handle: async ({ request }) => {
      const origin = originOf(request, config)
      return {
        resource: `${origin}${resource}`,
        ...(config.authorizationServers && { authorization_servers: config.authorizationServers }),
        bearer_methods_supported: ['header'],
        resource_name: 'Infrastructure Atlas',
      }
    },
  }))
}
