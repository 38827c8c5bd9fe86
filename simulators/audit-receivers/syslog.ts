import { once } from 'node:events'
import { type AddressInfo, createServer as createTcp, type Socket } from 'node:net'
import { createServer as createTls, type TLSSocket } from 'node:tls'
import { type Ca, makeCa } from '../lib/ca.ts'
import { readFrames, type SyslogMessage } from './syslog-parser.ts'

type Options = {
  readonly port?: number
  readonly ca?: Ca
  /** PEM: every sender must show a certificate of this authority. */
  readonly clientCa?: string
  /** For a certificate that does not fit: the names in it. */
  readonly hosts?: readonly string[]
  /** Without TLS. */
  readonly isPlain?: boolean
}

export type Received = SyslogMessage & { readonly index: number; readonly connection: number }

/** A syslog server over TLS on loopback that takes only what is exactly RFC 5424 in RFC 5425 frames. */
export async function startSyslogReceiver(options: Options = {}) {
  const { port = 0, ca = makeCa(), clientCa, hosts = ['127.0.0.1', 'localhost'], isPlain = false } = options
  const issued = ca.issue({ commonName: 'syslog', hosts })
  const messages: Received[] = []
  const errors: string[] = []
  const clients: string[] = []
  const open = new Set<Socket>()
  let connections = 0
  let isDeaf = false

  function take(socket: Socket): void {
    const connection = connections++
    let rest: Buffer = Buffer.alloc(0)
    socket.on('error', () => {})
    if (isDeaf) {
      socket.pause()
      return
    }
    if (!isPlain && clientCa !== undefined) clients.push(String((socket as TLSSocket).getPeerCertificate().subject.CN))
    socket.on('data', (chunk: Buffer) => {
      try {
        const read = readFrames(Buffer.concat([rest, chunk]))
        rest = read.rest
        for (const message of read.messages) messages.push({ ...message, index: indexOf(message), connection })
      } catch (error) {
        errors.push((error as Error).message)
        socket.destroy()
      }
    })
    socket.on('end', () => {
      if (rest.length > 0) errors.push('the connection ended inside a frame')
    })
  }

  const ofClients = clientCa === undefined ? {} : { requestCert: true, rejectUnauthorized: true, ca: clientCa }
  const server = isPlain
    ? createTcp(take)
    : createTls({ cert: issued.certPem, key: issued.keyPem, minVersion: 'TLSv1.2', ...ofClients }, take)
  server.on('tlsClientError', () => {})
  // Below TLS, so that a break can be a reset of the connection.
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => open.delete(socket))
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const { port: taken } = server.address() as AddressInfo
  return {
    url: `${isPlain ? 'tcp' : 'tls'}://127.0.0.1:${taken}`,
    port: taken,
    caPem: ca.caPem,
    messages: messages as readonly Received[],
    errors: errors as readonly string[],
    /** The common names of the senders' certificates. */
    clients: clients as readonly string[],
    connections: () => connections,
    /** From now on connections are taken, and nothing is ever read. */
    beDeaf: () => {
      isDeaf = true
    },
    /** Breaks every open connection, as a crash does. */
    breakAll: () => {
      for (const socket of open) socket.resetAndDestroy()
    },
    /** The messages by index, those that came twice once, in the order of their first arrival. */
    byIndex: () => [...new Map(messages.map((message) => [message.index, message])).values()],
    stop: async () => {
      server.close()
      for (const socket of open) socket.destroy()
      await once(server, 'close')
    },
  }
}

function indexOf({ data }: SyslogMessage): number {
  const [parameters = []] = data.values()
  return Number(parameters.find(([name]) => name === 'index')?.[1] ?? Number.NaN)
}
