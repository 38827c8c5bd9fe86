import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { quantile, round } from './line.ts'
import { cpuMillis } from './process.ts'
import { firstId, type Request, textOf } from './wire.ts'

/** One run against one server. `expected` is the text that every answer must carry. */
export type Job = Request & {
  readonly url: string
  /** The server's process, whose processor time is read at both ends of the measured time. */
  readonly pid: number
  readonly expected: string
  readonly connections: number
  readonly warmSeconds: number
  readonly seconds: number
}
export type Load = {
  readonly callsPerSecond: number
  readonly p50: number
  readonly p95: number
  /** Processor microseconds of the server for each call. */
  readonly cpuMicros: number
  /** How much of one processor this generator used, 0 to 1. Near 1 it was the limit, not the server. */
  readonly ownShare: number
}

// Sockets and no HTTP client: a client library costs more per call than the fastest server here, and would be measured instead.

process.stdout.write(JSON.stringify(await run(JSON.parse(await text(process.stdin)) as Job)))

async function run(job: Job): Promise<Load> {
  const { hostname, port } = new URL(job.url)
  const latencies: number[] = []
  const nextId = counter(firstId)
  let measuring = false
  const clients = await Promise.all(
    Array.from({ length: job.connections }, async () => {
      const socket = connect({ host: hostname, port: Number(port), noDelay: true })
      await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
      return makeClient(socket, job, nextId, (millis) => {
        if (measuring) latencies.push(millis)
      })
    }),
  )
  for (const { start } of clients) start()
  await sleep(job.warmSeconds)
  const before = { at: performance.now(), server: cpuMillis(job.pid), own: process.cpuUsage() }
  measuring = true
  await sleep(job.seconds)
  measuring = false
  const millis = performance.now() - before.at
  const { user, system } = process.cpuUsage(before.own)
  const server = cpuMillis(job.pid) - before.server
  await Promise.all(clients.map(({ finish }) => finish()))
  return {
    callsPerSecond: (latencies.length / millis) * 1000,
    p50: quantile(latencies, 0.5),
    p95: quantile(latencies, 0.95),
    cpuMicros: (server * 1000) / latencies.length,
    ownShare: round((user + system) / 1000 / millis),
  }
}

/** One keep-alive connection with one call in flight. A wrong answer ends the process: a fast server that errs is not fast. */
function makeClient(socket: Socket, job: Job, nextId: () => number, onAnswer: (millis: number) => void) {
  const [before, after] = split(job)
  let received = ''
  let id = 0
  let sentAt = 0
  let finished: (() => void) | undefined

  function send(): void {
    id = nextId()
    sentAt = performance.now()
    socket.write(before + id + after, 'latin1')
  }

  socket.on('data', (chunk) => {
    received += chunk.toString('latin1')
    const body = bodyOf(received)
    if (body === undefined) return
    const millis = performance.now() - sentAt
    if (!received.startsWith('HTTP/1.1 200 ')) throw new Error(`A call failed: ${received.slice(0, 1000)}`)
    if (textOf(body, id) !== job.expected) throw new Error(`Another answer than before: ${body.slice(0, 500)}`)
    received = ''
    onAnswer(millis)
    if (!finished) return send()
    socket.end()
    finished()
  })
  socket.on('close', () => {
    if (!finished) throw new Error('The server closed a connection')
  })
  return {
    start: send,
    finish: () =>
      new Promise<void>((resolve) => {
        finished = resolve
      }),
  }
}

/** The request's bytes before and behind the id. */
function split({ url, headers, body }: Job): [string, string] {
  const { host, pathname } = new URL(url)
  const all = { host, ...headers, 'content-length': String(Buffer.byteLength(body)) }
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  const whole = `POST ${pathname} HTTP/1.1\r\n${head.join('')}\r\n${body}`
  const at = whole.lastIndexOf(String(firstId))
  return [whole.slice(0, at), whole.slice(at + String(firstId).length)]
}

/** The body when all of it is there (RFC 9112 §6.3: a length or chunks). */
function bodyOf(received: string): string | undefined {
  const end = received.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const length = /\r\ncontent-length: (\d+)/i.exec(received)?.[1]
  if (length === undefined) return chunksOf(received, end + 4)
  const body = received.slice(end + 4)
  return body.length < Number(length) ? undefined : body
}

function chunksOf(received: string, start: number): string | undefined {
  if (!received.endsWith('0\r\n\r\n')) return undefined
  let body = ''
  for (let at = start; ; ) {
    const line = received.indexOf('\r\n', at)
    const size = Number.parseInt(received.slice(at, line), 16)
    if (size === 0) return body
    body += received.slice(line + 2, line + 2 + size)
    at = line + 2 + size + 2
  }
}

function counter(from: number): () => number {
  let next = from
  return () => next++
}

function sleep(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000))
}
