/** The two ways in which a client of today speaks MCP over HTTP. */
export const revisions = ['2026-07-28', '2025-11-25'] as const
export type Revision = (typeof revisions)[number]

export type Tool = { readonly name: string; readonly arguments: Readonly<Record<string, unknown>> }
export type Request = { readonly headers: Readonly<Record<string, string>>; readonly body: string }

/** Seven digits, so that each request of a run is as long as the next. */
export const firstId = 1_000_000

/** A `tools/call` with the id `firstId`, as a client sends it in this revision; 2025-11-25 after its handshake. */
export function callOf(revision: Revision, tool: Tool, token?: string): Request {
  const isLegacy = revision === '2025-11-25'
  const meta = {
    'io.modelcontextprotocol/protocolVersion': revision,
    'io.modelcontextprotocol/clientCapabilities': {},
    'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1.0.0' },
  }
  const params = isLegacy ? tool : { _meta: meta, ...tool }
  return {
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': revision,
      ...(!isLegacy && { 'mcp-method': 'tools/call', 'mcp-name': tool.name }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: firstId, method: 'tools/call', params }),
  }
}

/** The text of a tool's answer to the call `id`, from a JSON body or the one event of a stream. Throws for any other answer. */
export function textOf(body: string, id: number): string {
  const at = body.indexOf('{"')
  const end = body.startsWith('{') ? body.length : body.indexOf('\n', at)
  const message = at < 0 ? undefined : (JSON.parse(body.slice(at, end < 0 ? undefined : end)) as Message)
  const text = message?.result?.content?.[0]?.text
  if (message?.id !== id || text === undefined || message.result?.isError)
    throw new Error(`This is no answer to call ${id}: ${body.slice(0, 500)}`)
  return text
}

type Message = {
  readonly id?: number
  readonly result?: { readonly isError?: boolean; readonly content?: readonly { readonly text?: string }[] }
}
