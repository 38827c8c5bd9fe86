import { createHmac, randomUUID } from 'node:crypto'
import { request } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'

export type WebhookTarget = { readonly url: string; readonly token: string; readonly caPem: string }
export type Delivery = { readonly id: string; readonly attempt: number; readonly status: number }

const attempts = 5

/**
 * Posts a changed ticket, signed with HMAC-SHA1, up to five times with the same delivery id, waiting longer each time
 * (Zammad: attempt × 10 seconds).
 */
export function makeWebhook(waitMs: number) {
  let target: WebhookTarget | undefined
  const deliveries: Delivery[] = []

  async function deliver({ url, token, caPem }: WebhookTarget, body: string): Promise<void> {
    const id = randomUUID()
    const headers = {
      'content-type': 'application/json; charset=utf-8',
      'user-agent': 'Zammad User Agent',
      'x-zammad-trigger': 'Atlas',
      'x-zammad-delivery': id,
      'x-hub-signature': `sha1=${createHmac('sha1', token).update(body).digest('hex')}`,
    }
    for (let attempt = 1; attempt <= attempts; attempt++) {
      const status = await post(url, caPem, headers, body).catch(() => 0)
      deliveries.push({ id, attempt, status })
      if (status >= 200 && status < 300) return
      await sleep(attempt * waitMs)
    }
  }

  return {
    deliveries,
    setTarget: (to: WebhookTarget | undefined) => {
      target = to
    },
    /** Ends with the delivery or its last attempt. */
    notify: async (payload: object): Promise<void> => {
      if (target) await deliver(target, JSON.stringify(payload))
    },
  }
}

function post(url: string, ca: string, headers: Readonly<Record<string, string>>, body: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      { method: 'POST', ca, headers: { ...headers, 'content-length': Buffer.byteLength(body) } },
      (response) => {
        response.resume()
        response.on('end', () => resolve(response.statusCode ?? 0))
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}
