import { createHmac } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'

export type WebhookTarget = { readonly url: string; readonly secret?: string; readonly caPem?: string }
export type Delivery = { readonly event: string; readonly status: number; readonly error?: string }

/** Data Center posts each change; what fails is only listed. */
export function makeWebhook(now: () => Date) {
  const deliveries: Delivery[] = []
  let target: WebhookTarget | undefined
  return {
    deliveries,
    setTarget: (to: WebhookTarget | undefined) => {
      target = to
    },
    async notify(
      event: 'page_created' | 'page_updated' | 'page_trashed',
      page: { readonly id: number; readonly title: string; readonly space: string },
    ) {
      if (!target) return
      const body = JSON.stringify({
        timestamp: now().getTime(),
        event,
        page: { id: page.id, title: page.title, spaceKey: page.space },
      })
      const { secret } = target
      // Signed only when there is a secret.
      const signature =
        secret === undefined
          ? {}
          : { 'x-hub-signature': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}` }
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...signature }
      deliveries.push({ event, ...(await post(target, headers, body)) })
    },
  }
}

function post(
  { url, caPem }: WebhookTarget,
  headers: Record<string, string | number>,
  body: string,
): Promise<Omit<Delivery, 'event'>> {
  return new Promise((resolve) => {
    const send = url.startsWith('https:') ? httpsRequest : httpRequest
    const options = { method: 'POST', headers, timeout: 5000, ...(caPem !== undefined && { ca: caPem }) }
    const request = send(url, options, (response) => {
      response.resume()
      response.on('end', () => resolve({ status: response.statusCode ?? 0 }))
    })
    request.on('error', (error) => resolve({ status: 0, error: error.message }))
    request.on('timeout', () => request.destroy(new Error('timeout')))
    request.end(body)
  })
}
