import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** Faults that every simulator can show. A system adds its own words; its handler sees them as `request.fault`. */
export const commonFaults = [
  'status',
  'slow',
  'reset',
  'drop',
  'hang',
  'malformed',
  'html',
  'redirect',
  'huge',
] as const

/**
 * What goes wrong with the next `count` requests whose path begins with `path`.
 * status: `status` with `retryAfter` seconds · slow: answers after `ms` · reset: half the body, then the connection breaks ·
 * drop: the connection breaks before the answer · hang: no answer · malformed: JSON cut in the middle with its length right ·
 * html: a sign-in page with status 200 · redirect: to another origin · huge: `ms` MiB of spaces before the body.
 */
export type Fault = {
  readonly kind: string
  readonly path: string
  readonly status: number
  readonly ms: number
  readonly retryAfter: number | undefined
  count: number
}

export type FaultPlan = { readonly kind: string } & Partial<Fault>

export type Reply = {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Instead of `body`: what is no text. */
  readonly bytes?: Buffer
  /** How many objects the body holds, for the request log. */
  readonly items?: number
}

export function makeFaults(ownKinds: readonly string[] = []) {
  const kinds = [...commonFaults, ...ownKinds]
  const planned: Fault[] = []
  return {
    planned,
    /** Answers what is wrong with the plan, if anything. `kind: '429'` is short for `kind: 'status', status: 429`. */
    plan({ kind, ...rest }: FaultPlan): string | undefined {
      const code = /^[1-5]\d\d$/.test(kind) ? Number(kind) : undefined
      if (code === undefined && !kinds.includes(kind)) return `kind is one of ${kinds.join(', ')} or a status`
      const defaults = { count: 1, path: '/', status: code ?? 503, ms: 1000, retryAfter: undefined }
      planned.push({ ...defaults, ...rest, kind: code === undefined ? kind : 'status' })
      return undefined
    },
    take(path: string): Fault | undefined {
      const fault = planned.find((one) => one.count > 0 && path.startsWith(one.path))
      if (fault && --fault.count === 0) planned.splice(planned.indexOf(fault), 1)
      return fault
    },
  }
}

/** Sends the reply, spoilt by the fault. Answers the status that was sent, 0 for none. */
export async function send(response: ServerResponse, reply: Reply, fault: Fault | undefined): Promise<number> {
  if (fault?.kind === 'slow') await sleep(fault.ms)
  if (fault?.kind === 'hang') return 0
  if (fault?.kind === 'drop') {
    response.destroy()
    return 0
  }
  const { status, headers = {}, body: text = '', bytes } = spoilt(reply, fault)
  const body = bytes ?? Buffer.from(text)
  response.writeHead(status, {
    'content-type': 'application/json',
    ...headers,
    'content-length': body.length,
  })
  if (fault?.kind === 'reset') {
    // Waits until the first half is with the operating system, so that the client sees headers and then the break.
    await new Promise<void>((resolve) => response.write(body.subarray(0, body.length / 2), () => resolve()))
    response.destroy()
    return status
  }
  response.end(body)
  return status
}

function spoilt(reply: Reply, fault: Fault | undefined): Reply {
  const { body = '' } = reply
  if (fault?.kind === 'status') {
    const retry = fault.retryAfter === undefined ? {} : { 'retry-after': String(fault.retryAfter) }
    return { status: fault.status, headers: retry, body: JSON.stringify({ detail: `Simulated ${fault.status}.` }) }
  }
  if (fault?.kind === 'malformed') return { ...reply, body: body.slice(0, Math.max(1, Math.floor(body.length / 2))) }
  if (fault?.kind === 'html') {
    const page = '<!doctype html><html><head><title>Sign in</title></head><body><form></form></body></html>'
    return { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, body: page }
  }
  if (fault?.kind === 'redirect') return { status: 302, headers: { location: 'https://elsewhere.example.net/' } }
  if (fault?.kind === 'huge') return { ...reply, body: ' '.repeat(fault.ms * 1024 * 1024) + body }
  return reply
}
