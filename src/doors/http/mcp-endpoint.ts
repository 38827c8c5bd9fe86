import { Readable } from 'node:stream'
import type { ReadableStream as NodeReadableStream } from 'node:stream/web'
import { Problem } from '../../core/problem.ts'
import { connectionEvents, gateEvents } from '../../gate/events.ts'
import { originOf } from './bearer.ts'
import { readJson } from './body.ts'
import type { HttpDoorConfig, McpFetch } from './parts.ts'
import type { Exchange, Route } from './route.ts'

/** `POST /mcp` (Streamable HTTP). Authenticated, limited in size and checked for Host and Origin like every other route. */
export function mcpRoute(fetch: McpFetch, config: HttpDoorConfig): Route {
  return {
    method: 'POST',
    path: '/mcp',
    public: false,
    // Any tool may be called here.
    events: [...gateEvents, ...connectionEvents],
    handle: async (exchange, { call }) => {
      let message: unknown
      try {
        message = await readJson(exchange.request.raw)
      } catch (error) {
        if (error instanceof Problem && error.type === 'invalid-input') return sendParseError(exchange, error.message)
        throw error
      }
      if (message === undefined) return sendParseError(exchange, 'The body is empty')
      return sendResponse(exchange, await fetch(requestOf(exchange, config), call('mcp'), message))
    },
  }
}

/** JSON-RPC 2.0 §5.1; MCP leaves out the id that could not be read. */
async function sendParseError({ reply }: Exchange, message: string): Promise<unknown> {
  const body = { jsonrpc: '2.0', error: { code: -32700, message: `Parse error: ${message}` } }
  return reply.code(400).type('application/json').send(JSON.stringify(body))
}

/** The web-standard form that the MCP handler takes. The body travels beside it, already parsed. */
function requestOf({ request, signal }: Exchange, config: HttpDoorConfig): Request {
  const headers = new Headers()
  // The token has done its work at this door and goes no further.
  for (const [name, value] of Object.entries(request.headers))
    if (name !== 'authorization' && typeof value === 'string') headers.set(name, value)
  return new Request(`${originOf(request, config)}/mcp`, { method: 'POST', headers, signal })
}

async function sendResponse({ reply }: Exchange, response: Response): Promise<unknown> {
  void reply.code(response.status)
  for (const [name, value] of response.headers) if (forwarded.has(name)) void reply.header(name, value)
  if (response.body === null) return reply.send()
  if (!response.headers.get('content-type')?.startsWith('text/event-stream')) return reply.send(await response.text())
  void reply.header('x-accel-buffering', 'no')
  return reply.send(Readable.fromWeb(response.body as NodeReadableStream))
}

const forwarded = new Set(['content-type', 'allow', 'mcp-protocol-version', 'retry-after'])
