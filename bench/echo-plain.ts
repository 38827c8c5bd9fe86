import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

// The least that answers a JSON-RPC `tools/call` over HTTP: no guard, no check, nothing but node:http and JSON.

type Message = { id: number; params: { arguments: { text: string } } }

const server = createServer((request, response) => {
  let text = ''
  request.setEncoding('utf8')
  request.on('data', (chunk: string) => {
    text += chunk
  })
  request.on('end', () => {
    const { id, params } = JSON.parse(text) as Message
    const result = { content: [{ type: 'text', text: params.arguments.text }] }
    const body = JSON.stringify({ jsonrpc: '2.0', id, result })
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
    response.end(body)
  })
})

server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`echo is ready at http://127.0.0.1:${(server.address() as AddressInfo).port}\n`)
})
process.once('SIGTERM', () => server.close())
