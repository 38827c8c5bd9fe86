import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { z } from 'zod'

// The official SDK's server as its guide builds it: one tool, a fresh server object per request, no guard.

const handler = createMcpHandler(() => {
  const server = new McpServer({ name: 'echo', version: '1.0.0' })
  server.registerTool(
    'echo',
    { description: 'Answers what it is given.', inputSchema: z.object({ text: z.string() }) },
    async ({ text }) => ({ content: [{ type: 'text', text }] }),
  )
  return server
})

const server = createServer(async (request, response) => {
  const headers = new Headers(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))
  // The cheapest way in that the SDK has: the body already parsed.
  const parsedBody = JSON.parse(await textOf(request))
  const answer = await handler.fetch(new Request(`http://127.0.0.1${request.url}`, { method: 'POST', headers }), {
    parsedBody,
  })
  response.writeHead(answer.status, Object.fromEntries(answer.headers))
  response.end(await answer.text())
})

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ''
  request.setEncoding('utf8')
  for await (const chunk of request) text += chunk
  return text
}

server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`echo is ready at http://127.0.0.1:${(server.address() as AddressInfo).port}\n`)
})
process.once('SIGTERM', () => server.close())
