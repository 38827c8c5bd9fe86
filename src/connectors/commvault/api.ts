import { z } from 'zod'
import type { Exchange, Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'

export const apiPaths = ['/commandcenter/api', '/webconsole/api'] as const

export type Config = {
  readonly url: string
  readonly apiPath: (typeof apiPaths)[number]
  readonly jobDays: number
  readonly pageSize: number
}

const tries = 3

/**
 * One question that changes nothing. Commvault sometimes answers 200 with an empty body, which is asked again and never
 * taken for an empty list.
 */
export async function ask<T>(
  http: Http,
  { apiPath }: Pick<Config, 'apiPath'>,
  schema: z.ZodType<T>,
  exchange: Omit<Exchange, 'safe'>,
): Promise<{ readonly body: T; readonly headers: Readonly<Record<string, string>> }> {
  const whole = { ...exchange, path: `${apiPath}${exchange.path}`, safe: true }
  for (let left = tries; left > 0; left--) {
    const { body, headers } = await http.exchange(whole, z.union([z.null(), schema]))
    if (body !== null) return { body: body as T, headers }
  }
  throw new Problem('upstream-invalid', 'Commvault answered with an empty body')
}

/** Epoch seconds as ISO 8601; 0 stands for "not yet". */
export function timeOf(seconds: number | null | undefined): string | undefined {
  return seconds && seconds > 0 && seconds < 1e11 ? new Date(seconds * 1000).toISOString() : undefined
}

/** Leaves out what Commvault does not say. */
export function said<T>(values: Readonly<Record<string, T | null | undefined>>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== ''),
  ) as Record<string, T>
}
