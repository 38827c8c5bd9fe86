import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Ca } from '../lib/ca.ts'
import { json, type Reply, type SimRequest, startServer } from '../lib/server.ts'

export type ReceivedEntry = { readonly index: number; readonly leaf: string; readonly leafHash: string }
export type Delivery = {
  readonly id: string
  /** When it was sent, in seconds. */
  readonly time: number
  readonly body: string
  readonly origin: string
  readonly entries: readonly ReceivedEntry[]
  readonly checkpoint: string
}

type Options = {
  readonly port?: number
  readonly ca?: Ca
  /** One of them must have signed. `whsec_` and base64. */
  readonly secrets?: readonly string[]
}

const toleranceSeconds = 300

/**
 * A receiver of Standard Webhooks, written from the specification apart from the sender that it checks. It takes what is signed and fresh,
 * and keeps it; everything else is answered 401 or 400 and kept in `refused`.
 */
export async function startWebhookReceiver({ port, ca, secrets = [newWebhookSecret()] }: Options = {}) {
  const deliveries: Delivery[] = []
  const refused: string[] = []
  const keys = secrets.map((secret) => Buffer.from(secret.replace(/^whsec_/, ''), 'base64'))

  function handle(request: SimRequest): Reply {
    const fault = faultOf(request)
    if (fault !== undefined) {
      refused.push(fault)
      return json(fault.startsWith('signature') ? 401 : 400, { error: fault })
    }
    const { data } = JSON.parse(request.body) as { data: Omit<Delivery, 'id' | 'time' | 'body'> }
    const [id, time] = ['webhook-id', 'webhook-timestamp'].map((name) => String(request.headers[name]))
    deliveries.push({ ...data, id: id ?? '', time: Number(time), body: request.body })
    return { status: 204 }
  }

  function faultOf({ method, path, headers, body }: SimRequest): string | undefined {
    if (method !== 'POST' || path !== '/audit') return 'not the address of this receiver'
    if (headers['content-type'] !== 'application/json') return 'not JSON'
    const [id, time, list] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => headers[name])
    if (typeof id !== 'string' || typeof time !== 'string' || typeof list !== 'string') return 'a header is missing'
    if (id === '' || id.includes('.')) return 'the id is empty or has a full stop'
    if (!/^[1-9][0-9]{0,11}$/.test(time)) return 'the timestamp is not a number'
    const age = Math.abs(server.clock.now().getTime() / 1000 - Number(time))
    if (age > toleranceSeconds) return 'signature: the timestamp is more than five minutes off'
    const given = list.split(' ').flatMap((one) => (one.startsWith('v1,') ? [Buffer.from(one.slice(3), 'base64')] : []))
    const good = keys.some((key) => {
      const own = createHmac('sha256', key).update(id).update('.').update(time).update('.').update(body).digest()
      return given.some((one) => one.length === own.length && timingSafeEqual(one, own))
    })
    return good ? undefined : 'signature: none of them is right'
  }

  const server = await startServer({ handle, ...(port !== undefined && { port }), ...(ca && { ca }) })
  return {
    ...server,
    url: `${server.origin}/audit`,
    secrets,
    deliveries: deliveries as readonly Delivery[],
    refused: refused as readonly string[],
    /** Every entry in the order of arrival, those that came twice once. */
    entries(): ReceivedEntry[] {
      const seen = new Map<number, ReceivedEntry>()
      for (const { entries } of deliveries) for (const entry of entries) seen.set(entry.index, entry)
      return [...seen.values()]
    },
  }
}

/** A new secret in the form of the specification. */
export function newWebhookSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`
}
