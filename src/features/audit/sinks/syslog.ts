import { connect as connectTcp, type Socket } from 'node:net'
import { hostname } from 'node:os'
import { pid } from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { Problem } from '../../../core/problem.ts'
import type { Secret } from '../../../core/secret.ts'
import { type Round, type Sink, type Source, sinkProblem, tooLong } from './sink.ts'
import { framed, syslogMessage } from './syslog-message.ts'

export type SyslogSettings = {
  /** `tls://host:6514`, or `tcp://` on loopback. */
  readonly url: string
  readonly ca?: string | undefined
  /** What this side shows, when the receiver asks for a certificate. */
  readonly cert?: string | undefined
  readonly key?: Secret | undefined
  readonly enterprise: number
}

/** One connection: it sends the entries from where it was opened on, up to `sent`. */
type Line = {
  readonly socket: Socket
  sent: number
  /** When the first of what is not confirmed was sent. */
  since: number | undefined
  broken: Problem | undefined
  isEnding: boolean
}

const batch = { count: 512, bytes: 512 * 1024 }
const answerMs = 5_000
// A receiver that refuses a certificate says so some time after the connection is open, one that is gone when it is written to.
const settleMs = { first: 500, later: 100 }

/**
 * Sends entries as syslog messages over TLS (RFC 5424, RFC 5425). Syslog acknowledges nothing, but who closes a TLS connection is answered
 * when everything before was read (RFC 5425 §4.4): so the connection is closed and opened anew about once a minute, and what was sent since
 * the last such answer is sent again after a break. Some entries may come twice, none is lost.
 */
export function makeSyslogSink(settings: SyslogSettings, source: Source, confirmMs: number): Sink {
  const messages = { origin: source.origin, hostname: hostname(), pid, enterprise: settings.enterprise }
  let line: Line | undefined

  async function deliver({ at, size, isLast, signal }: Round) {
    // Another process has delivered meanwhile.
    if (line && line.sent !== at.next) drop()
    if (line?.broken) {
      const { broken } = line
      drop()
      if (at.confirmed < at.next) throw broken
    }
    if (line && isDue(line, isLast && line.sent >= size)) return confirm(line)
    if (!line && at.confirmed >= size) return at
    line ??= await open(settings, at.confirmed, signal)
    if (line.sent >= size) return { next: line.sent, confirmed: at.confirmed }
    const entries = await source.entries(line.sent, batch)
    await write(line, Buffer.concat(entries.map((entry) => framed(syslogMessage(entry, messages)))), signal)
    line.since ??= performance.now()
    line.sent += entries.length
    return { next: line.sent, confirmed: at.confirmed }
  }

  function isDue({ since }: Line, isEnd: boolean): boolean {
    return since !== undefined && (isEnd || performance.now() - since > confirmMs)
  }

  /** Ends the connection. When the receiver ends it too, it has read everything. */
  async function confirm(ending: Line) {
    const { sent, socket } = ending
    const ended = endOf(socket)
    ending.isEnding = true
    socket.end()
    await within(ended, answerMs)
    drop()
    return { next: sent, confirmed: sent }
  }

  function drop(): void {
    line?.socket.destroy()
    line = undefined
  }

  return {
    name: 'syslog',
    target: settings.url,
    async deliver(round) {
      try {
        return await deliver(round)
      } catch (error) {
        drop()
        throw error
      }
    },
    async close() {
      drop()
    },
  }
}

async function open({ url, ca, cert, key }: SyslogSettings, from: number, signal: AbortSignal): Promise<Line> {
  const { protocol, hostname: name, port } = new URL(url)
  const to = { host: name.replace(/^\[|\]$/g, ''), port: Number(port || 6514) }
  const socket =
    protocol === 'tcp:'
      ? connectTcp(to)
      : connectTls({ ...to, minVersion: 'TLSv1.2', ...(ca && { ca }), ...(cert && key && { cert, key: key.reveal() }) })
  const line: Line = { socket, sent: from, since: undefined, broken: undefined, isEnding: false }
  const opened = new Promise<void>((resolve, reject) => {
    socket.once(protocol === 'tcp:' ? 'connect' : 'secureConnect', () => resolve())
    socket.once('error', reject)
  })
  watch(line)
  try {
    await within(opened, answerMs, signal)
    return line
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** Notices between two batches that the connection ended. What a receiver sends is read and dropped, so that its end is seen. */
function watch(line: Line): void {
  const { socket } = line
  const closed = () => {
    if (!line.isEnding)
      line.broken ??= new Problem(
        'upstream-unreachable',
        'The receiver closed the connection; what it may lack is sent again',
      )
  }
  socket.on('error', (error) => {
    line.broken ??= sinkProblem(error)
  })
  socket.on('end', closed)
  socket.on('close', closed)
  socket.resume()
}

async function write(line: Line, bytes: Buffer, signal: AbortSignal): Promise<void> {
  const written = new Promise<void>((resolve, reject) => {
    line.socket.write(bytes, (error) => (error ? reject(error) : resolve()))
  })
  await within(written, answerMs, signal)
  await sleep(line.since === undefined ? settleMs.first : settleMs.later, undefined, { signal })
  if (line.broken) throw line.broken
}

/** When the other side has ended, too; rejects when the connection broke instead. */
function endOf(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('end', resolve)
    socket.once('error', reject)
    socket.once('close', () =>
      reject(new Problem('upstream-unreachable', 'The connection broke before it was confirmed')),
    )
  })
}

async function within(what: Promise<void>, ms: number, signal?: AbortSignal): Promise<void> {
  const ended = new AbortController()
  const all = signal ? AbortSignal.any([signal, ended.signal]) : ended.signal
  const late = sleep(ms, undefined, { signal: all }).then(() => {
    throw new Problem('upstream-timeout', tooLong)
  })
  try {
    await Promise.race([what, late])
  } finally {
    ended.abort()
    // Whichever lost must not end the process.
    what.catch(() => {})
    late.catch(() => {})
  }
}
