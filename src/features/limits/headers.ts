import type { LimitState } from './buckets.ts'

/**
 * `RateLimit-Policy` and `RateLimit` for an answer (draft-ietf-httpapi-ratelimit-headers-11), and `Retry-After`
 * (RFC 9110 §10.2.3) when the call was refused. `name` is the policy's name, printable ASCII.
 */
export function rateLimitHeaders(
  { limit, remaining, resetSeconds, windowSeconds }: LimitState,
  name = 'default',
  retryAfterSeconds?: number,
): Record<string, string> {
  const quoted = structuredString(name)
  return {
    'RateLimit-Policy': `${quoted};q=${limit};w=${windowSeconds}`,
    RateLimit: `${quoted};r=${remaining};t=${retryAfterSeconds ?? resetSeconds}`,
    ...(retryAfterSeconds !== undefined && { 'Retry-After': String(retryAfterSeconds) }),
  }
}

/** A String of RFC 9651 §3.3.3. */
function structuredString(text: string): string {
  if (!/^[\x20-\x7e]*$/.test(text)) throw new TypeError('A limit is named in printable ASCII')
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}
