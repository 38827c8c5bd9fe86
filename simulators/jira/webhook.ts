import { createHmac, randomUUID } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { SimIssue } from './rows.ts'

export type WebhookTarget = { readonly url: string; readonly secret?: string; readonly caPem?: string }
export type Delivery = {
  readonly event: string
  readonly identifier: string
  readonly retry: number
  readonly status: number
}

const mostRetries = 5

/** Posts each change. What fails is sent again up to five times, with the same identifier (at once, unlike Jira). */
export function makeWebhook(now: () => Date) {
  const deliveries: Delivery[] = []
  let target: WebhookTarget | undefined
  return {
    deliveries,
    setTarget: (to: WebhookTarget | undefined) => {
      target = to
    },
    async notify(
      event: 'jira:issue_created' | 'jira:issue_updated' | 'jira:issue_deleted',
      { id, key, summary }: SimIssue,
    ) {
      if (!target) return
      const issue = { id: String(id), key, fields: { summary } }
      const body = JSON.stringify({ timestamp: now().getTime(), webhookEvent: event, issue })
      const identifier = randomUUID()
      for (let retry = 0; retry <= mostRetries; retry++) {
        const status = await post(target, body, {
          'x-atlassian-webhook-identifier': identifier,
          'x-atlassian-webhook-flow': 'Primary',
          ...(retry > 0 && { 'x-atlassian-webhook-retry': String(retry) }),
        })
        deliveries.push({ event, identifier, retry, status })
        if (status >= 200 && status < 300) return
      }
    },
  }
}

function post({ url, secret, caPem }: WebhookTarget, body: string, own: Record<string, string>): Promise<number> {
  const signature =
    secret === undefined
      ? {}
      : { 'x-hub-signature': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}` }
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...own,
    ...signature,
  }
  return new Promise((resolve) => {
    const send = url.startsWith('https:') ? httpsRequest : httpRequest
    const options = { method: 'POST', headers, timeout: 5000, ...(caPem !== undefined && { ca: caPem }) }
    const request = send(url, options, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode ?? 0))
    })
    request.on('error', () => resolve(0))
    request.on('timeout', () => request.destroy(new Error('timeout')))
    request.end(body)
  })
}
