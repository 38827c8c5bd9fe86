import { distrustOf, faultProblem } from '../../../lib/http-outcome.ts'
import type { OutboundAnswer, OutboundCall, Send } from '../../../lib/outbound.ts'
import { Unreadable } from './source.ts'

export type JsonAnswer = { readonly status: number; readonly body: Readonly<Record<string, unknown>> }

const timeoutMs = 10_000

/** One question to a store of secrets, and its JSON answer of any status. `store` is how messages call it. @throws Unreadable */
export async function askJson(send: Send, store: string, call: Omit<OutboundCall, 'timeoutMs'>): Promise<JsonAnswer> {
  let answer: OutboundAnswer
  try {
    answer = await send({ ...call, timeoutMs })
  } catch (cause) {
    throw new Unreadable(`${store} ${whySilent(cause)}`, { cause })
  }
  const { status, body } = answer
  if (status >= 300 && status < 400)
    throw new Unreadable(
      `${store} redirects elsewhere, which is not followed; give the address of the server that answers`,
    )
  return { status, body: objectIn(body.toString('utf8')) ?? failIf(status < 300, store) }
}

function whySilent(cause: unknown): string {
  if ((cause as Error).name === 'TimeoutError') return 'takes too long to answer'
  if (distrustOf(cause)) return 'has a certificate that is not trusted'
  const { type } = faultProblem(cause) as { type?: unknown }
  if (type === 'upstream-timeout') return 'takes too long to answer'
  return type === 'upstream-unreachable' ? 'cannot be reached' : 'does not give a usable answer'
}

/** An error may come from something in between, in whatever form; a good answer must be what it should be. */
function failIf(isGood: boolean, store: string): Record<string, unknown> {
  if (isGood) throw new Unreadable(`${store} does not give a usable answer`)
  return {}
}

/** The object in a JSON text, if it is one. */
export function objectIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject ? (value as Readonly<Record<string, unknown>>) : undefined
  } catch {
    return undefined
  }
}
