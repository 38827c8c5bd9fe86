import { Agent, request } from 'undici'

export type OutboundCall = {
  /** Absolute; http only where the caller has checked that it is loopback. */
  readonly url: string
  readonly method?: 'GET' | 'POST' | 'PUT' | 'HEAD'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  /** From the connection to the last byte of the answer. */
  readonly timeoutMs: number
  readonly signal?: AbortSignal
}

export type OutboundAnswer = {
  readonly status: number
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** Sends one request; any status is an answer. Rejects when there is none in time, or one of more than 1 MiB. */
export type Send = (call: OutboundCall) => Promise<OutboundAnswer>

const maxAnswerBytes = 1_048_576

/**
 * Requests to addresses that the operator configured: a witness, a seal, a sink. Never follows a redirect and never retries, so that
 * nothing reaches an address that was not named. `ca` is a PEM bundle to trust instead of the system's.
 */
export function makeOutbound({ ca }: { readonly ca?: string | undefined } = {}): Send & {
  close: () => Promise<void>
} {
  const agent = new Agent({ connections: 4, connect: { timeout: 5_000, ...(ca !== undefined && { ca }) } })
  const send: Send = async ({ url, method = 'POST', headers = {}, body, timeoutMs, signal }) => {
    const limit = AbortSignal.timeout(timeoutMs)
    const answer = await request(url, {
      dispatcher: agent,
      method,
      headers,
      body: body ?? null,
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    })
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > maxAnswerBytes) throw new Error('the answer is larger than 1 MiB')
      chunks.push(chunk)
    }
    const flat = Object.entries(answer.headers).map(([name, value]) => [name, [value ?? ''].flat().join(', ')])
    return { status: answer.statusCode, headers: Object.fromEntries(flat), body: Buffer.concat(chunks) }
  }
  return Object.assign(send, { close: () => agent.close() })
}
