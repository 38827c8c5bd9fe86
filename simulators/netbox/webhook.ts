import { createHmac } from 'node:crypto'
import { request as httpRequest, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Change } from './changelog.ts'

export type WebhookTarget = { readonly url: string; readonly secret?: string; readonly caPem?: string }
export type Delivery = {
  readonly event: string
  readonly object: string
  readonly status: number
  readonly error?: string
}

/** Sends NetBox's default webhook body after each change. There is no retry: what fails is only listed. */
export function makeWebhook(now: () => Date) {
  const deliveries: Delivery[] = []
  let target: WebhookTarget | undefined
  return {
    deliveries,
    setTarget: (to: WebhookTarget | undefined) => {
      target = to
    },
    notify(change: Change): void {
      if (!target) return
      const event = events[change.action]
      const body = JSON.stringify({
        event,
        timestamp: now().toISOString(),
        object_type: change.collection.type,
        username: change.user.username,
        request_id: change.requestId,
        data: change.after ?? change.before,
        request: {
          id: change.requestId,
          method: methods[change.action],
          path: `/api/${change.collection.path}/`,
          user: change.user.username,
        },
        snapshots: { prechange: change.before, postchange: change.after },
      })
      const object = `${change.collection.type} ${change.id}`
      post(target, body).then(
        (status) => deliveries.push({ event, object, status }),
        (error: Error) => deliveries.push({ event, object, status: 0, error: error.message }),
      )
    },
  }
}

const events = { create: 'created', update: 'updated', delete: 'deleted' } as const
const methods = { create: 'POST', update: 'PATCH', delete: 'DELETE' } as const

/** `X-Hook-Signature` is the hex HMAC-SHA512 of the raw body, without a prefix, and only when there is a secret. */
function post({ url, secret, caPem }: WebhookTarget, body: string): Promise<number> {
  const signature =
    secret === undefined ? {} : { 'x-hook-signature': createHmac('sha512', secret).update(body).digest('hex') }
  const options: RequestOptions & { ca?: string } = {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...signature },
    timeout: 5000,
    ...(caPem !== undefined && { ca: caPem }),
  }
  return new Promise((resolve, reject) => {
    const send = url.startsWith('https:') ? httpsRequest : httpRequest
    const request = send(url, options, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode ?? 0))
    })
    request.on('error', reject)
    request.on('timeout', () => request.destroy(new Error('timeout')))
    request.end(body)
  })
}
