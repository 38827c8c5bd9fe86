import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

type StdioParts = {
  /** Origin of the running server, for example `https://atlas.example.org`. */
  readonly url: string
  readonly token: string
  readonly input: Readable
  readonly output: Writable
  /** For a person: what went wrong outside the protocol. Never the standard output. */
  readonly note: (text: string) => void
  readonly fetch?: typeof globalThis.fetch
  /** How long calls under way may still take when the input has ended; 30 seconds when absent. */
  readonly graceMs?: number
}

type Message = {
  readonly id?: string | number
  readonly method?: string
  readonly params?: Readonly<Record<string, unknown>>
}

/**
 * `atlas mcp`: carries MCP messages between one client on stdio and the server's `POST /mcp`, in either revision.
 * It decides nothing and keeps nothing but the revision that `initialize` agreed on. Ends when the client has closed its side
 * and what it asked is answered; a call that takes longer than the grace is then cancelled.
 */
export async function serveStdio(parts: StdioParts): Promise<void> {
  const { input, output, note, graceMs = 30_000 } = parts
  const endpoint = new URL('/mcp', parts.url)
  const running = new Map<string | number, AbortController>()
  const exchanges = new Set<Promise<void>>()
  // What follows `initialize` in one piece must carry the revision that its answer agrees on.
  let opening: Promise<void> = Promise.resolve()
  const session: { version: string | undefined } = { version: undefined }
  const write = (message: unknown) => output.write(`${JSON.stringify(message)}\n`)

  const carry = async (message: Message): Promise<void> => {
    const abort = new AbortController()
    if (message.id !== undefined) running.set(message.id, abort)
    try {
      if (message.method !== 'initialize') await opening
      for await (const answer of post({ ...parts, endpoint }, message, session.version, abort.signal)) {
        if (message.method === 'initialize') session.version = agreedVersion(answer) ?? session.version
        write(answer)
      }
    } catch (error) {
      if (abort.signal.aborted) return
      note(`The server cannot be reached: ${error instanceof Error ? error.message : 'unknown fault'}`)
      if (message.id !== undefined) write(failure(message.id, -32603, 'The Atlas server cannot be reached'))
    } finally {
      if (message.id !== undefined && running.get(message.id) === abort) running.delete(message.id)
    }
  }

  for await (const line of lines(input)) {
    const message = parseMessage(line)
    if (message === undefined) write(failure(undefined, -32700, 'Parse error'))
    else if (message.method === 'notifications/cancelled') cancel(running, message.params?.['requestId'])
    else {
      // Not awaited: calls run side by side, as they do over HTTP. `carry` answers its own failures.
      const exchange = carry(message).finally(() => exchanges.delete(exchange))
      exchanges.add(exchange)
      if (message.method === 'initialize') opening = exchange
    }
  }
  await Promise.race([Promise.all(exchanges), sleep(graceMs, undefined, { ref: false })])
  for (const abort of running.values()) abort.abort()
}

/** Closing the HTTP exchange is how a call is cancelled on the server (Streamable HTTP, "Cancellation"). */
function cancel(running: ReadonlyMap<string | number, AbortController>, id: unknown): void {
  if (typeof id === 'string' || typeof id === 'number') running.get(id)?.abort()
}

type PostParts = Pick<StdioParts, 'token' | 'fetch'> & { readonly endpoint: URL }

async function* post(
  { token, fetch, endpoint }: PostParts,
  message: Message,
  version: string | undefined,
  signal: AbortSignal,
) {
  const response = await (fetch ?? globalThis.fetch)(endpoint, {
    method: 'POST',
    redirect: 'error',
    signal,
    headers: { ...mirrored(message, version), ...fixedHeaders, authorization: `Bearer ${token}` },
    body: JSON.stringify(message),
  })
  const type = response.headers.get('content-type') ?? ''
  if (type.startsWith('text/event-stream') && response.body) yield* events(response.body)
  else if (type.startsWith('application/json')) yield await response.json()
  else if (!response.ok && message.id !== undefined) yield refusal(message.id, await response.text(), response.status)
}

const fixedHeaders = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

/** The headers that repeat what the body says (2026-07-28, "Standard request headers"); the server compares them. */
function mirrored({ method, params }: Message, agreed: string | undefined): Record<string, string> {
  const meta = params?.['_meta']
  const claimed = isRecord(meta) ? meta['io.modelcontextprotocol/protocolVersion'] : undefined
  if (typeof claimed !== 'string')
    return agreed === undefined || method === 'initialize' ? {} : { 'mcp-protocol-version': agreed }
  const name = params?.['name'] ?? params?.['uri']
  return {
    'mcp-protocol-version': headerText(claimed),
    ...(method !== undefined && { 'mcp-method': headerText(method) }),
    ...(typeof name === 'string' && { 'mcp-name': headerText(name) }),
  }
}

/** What a header cannot carry as it is travels in the spec's Base64 form. */
function headerText(text: string): string {
  if (/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(text) && !text.startsWith('=?base64?')) return text
  return `=?base64?${Buffer.from(text).toString('base64')}?=`
}

async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    const blocks = `${rest}${decoder.decode(chunk, { stream: true })}`.split(/\r?\n\r?\n/)
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const data = block
        .split(/\r?\n/)
        .flatMap((line) => (line.startsWith('data:') ? [line.slice(5).replace(/^ /, '')] : []))
      // An event without data only keeps the connection open or marks where to resume.
      const text = data.join('\n')
      if (text !== '') yield JSON.parse(text)
    }
  }
}

function refusal(id: string | number, body: string, status: number) {
  const problem = parseObject(body)
  const reason = problem?.['detail'] ?? problem?.['title']
  return failure(
    id,
    -32603,
    `The Atlas server refused (${status}): ${typeof reason === 'string' ? reason : 'no reason given'}`,
    problem,
  )
}

function failure(id: string | number | undefined, code: number, message: string, data?: unknown) {
  return {
    jsonrpc: '2.0',
    ...(id !== undefined && { id }),
    error: { code, message, ...(data !== undefined && { data }) },
  }
}

function agreedVersion(answer: unknown): string | undefined {
  const result = isRecord(answer) ? answer['result'] : undefined
  const version = isRecord(result) ? result['protocolVersion'] : undefined
  return typeof version === 'string' ? version : undefined
}

const longestLine = 10 * 1_048_576

/** Splits at the newline byte only: JSON text may hold other line separators. A line over 10 MiB ends the connection. */
async function* lines(input: Readable): AsyncGenerator<string> {
  let parts: Buffer[] = []
  let size = 0
  for await (const chunk of input) {
    let rest = Buffer.from(chunk)
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      const line = Buffer.concat([...parts, rest.subarray(0, end)])
        .toString('utf8')
        .trim()
      if (line !== '') yield line
      parts = []
      size = 0
      rest = rest.subarray(end + 1)
    }
    size += rest.length
    if (size > longestLine) throw new Error('A message is longer than 10 MiB')
    if (rest.length > 0) parts.push(rest)
  }
  const last = Buffer.concat(parts).toString('utf8').trim()
  if (last !== '') yield last
}

function parseMessage(line: string): Message | undefined {
  const value = parseObject(line)
  if (value === undefined) return undefined
  const { id, method, params } = value
  const isMessage =
    (id === undefined || typeof id === 'string' || typeof id === 'number') &&
    (method === undefined || typeof method === 'string') &&
    (params === undefined || isRecord(params))
  return isMessage ? (value as Message) : undefined
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
