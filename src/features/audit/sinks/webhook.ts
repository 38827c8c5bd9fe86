import { createHmac, hash } from 'node:crypto'
import { Problem } from '../../../core/problem.ts'
import type { Secret } from '../../../core/secret.ts'
import { retryAfter } from '../../../lib/http-outcome.ts'
import { makeOutbound, type OutboundAnswer, type Send } from '../../../lib/outbound.ts'
import type { Sink, SinkEntry, Source } from './sink.ts'

export type WebhookSettings = {
  /** https, or http on loopback. */
  readonly url: string
  /** `whsec_` and base64. While it is being changed there are two, and both sign. */
  readonly secrets: readonly Secret[]
  readonly ca?: string | undefined
}

type Message = { readonly id: string; readonly body: string; readonly from: number; readonly next: number }

const batch = { count: 256, bytes: 256 * 1024 }
const answerMs = 15_000

/**
 * Posts entries in batches, signed as Standard Webhooks (https://www.standardwebhooks.com, version 1.0.0), with a checkpoint that
 * covers them. Any 2xx is delivered; 410 ends it for good.
 */
export function makeWebhookSink({ url, secrets, ca }: WebhookSettings, source: Source, now: () => Date): Sink {
  const send: Send & { close: () => Promise<void> } = makeOutbound({ ca })
  // The same message is sent until it is taken: whoever gets it twice must see the same id.
  let pending: Message | undefined

  return {
    name: 'webhook',
    target: url,
    async deliver({ at: { next: from }, size, signal }) {
      if (from >= size) return { next: from, confirmed: from }
      if (pending?.from !== from) pending = await compose(source, from)
      const { id, body, next } = pending
      const timestamp = Math.floor(now().getTime() / 1000)
      const headers = {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': String(timestamp),
        'webhook-signature': secrets.map((secret) => signature(secret, `${id}.${timestamp}.${body}`)).join(' '),
      }
      check(await send({ url, headers, body, timeoutMs: answerMs, signal }), now())
      pending = undefined
      return { next, confirmed: next }
    },
    async close() {
      pending = undefined
    },
  }
}

/** `leaf` is the text whose bytes were hashed, so that a receiver can compare `leafHash` and keep what can be proved later. */
async function compose(source: Source, from: number): Promise<Message> {
  const entries = await source.entries(from, batch)
  const next = from + entries.length
  const checkpoint = await source.checkpoint(next)
  const data = { origin: source.origin, first: from, entries: entries.map(entryJson), checkpoint }
  const { at } = JSON.parse(String(entries[0]?.leaf)) as { at: string }
  const body = JSON.stringify({ type: 'audit.entries', timestamp: at, data })
  return { id: `msg_${hash('sha256', body, 'base64url').slice(0, 32)}`, body, from, next }
}

function entryJson({ index, leaf, hash: leafHash }: SinkEntry) {
  return { index, leaf: leaf.toString('utf8'), leafHash: leafHash.toString('base64') }
}

/** `v1,` and HMAC-SHA256 in base64, as the specification wants it of a symmetric secret. */
export function signature(secret: Secret, text: string): string {
  const key = Buffer.from(secret.reveal().slice('whsec_'.length), 'base64')
  return `v1,${createHmac('sha256', key).update(text).digest('base64')}`
}

function check({ status, headers }: OutboundAnswer, now: Date): void {
  if (status >= 200 && status < 300) return
  if (status === 410) throw new Problem('gone', 'The receiver answered 410: it wants nothing any more')
  const retryAfterSeconds = retryAfter(headers, now)
  throw new Problem('upstream-failed', `The receiver answered ${status}`, {
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  })
}
