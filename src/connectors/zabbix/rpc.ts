import { z } from 'zod'
import type { Http } from '../../core/connector.ts'

const path = '/api_jsonrpc.php'

/** One JSON-RPC call. Reads may be repeated after a broken connection; everything else is sent once. */
export async function call<T>(http: Http, method: string, params: object, result: z.ZodType<T>): Promise<T> {
  const { body } = await http.exchange(
    {
      method: 'POST',
      path,
      headers: { 'content-type': 'application/json-rpc' },
      body: { jsonrpc: '2.0', method, params, id: 1 },
      safe: isRead(method),
    },
    z.object({ result, id: z.literal(1) }),
  )
  return body.result
}

function isRead(method: string): boolean {
  return /\.get$|^apiinfo\.version$|^user\.checkAuthentication$/.test(method)
}

/** The method of a request as `call` made it. */
export function methodOf(body: unknown): {
  readonly method: string
  readonly request: Readonly<Record<string, unknown>>
} {
  const request: Record<string, unknown> = typeof body === 'string' ? JSON.parse(body) : {}
  return { method: String(request['method']), request }
}

/** Zabbix's version, which every call's form depends on. Answered without signing in, and only so. */
export function versionOf(http: Http): Promise<string> {
  return call(http, 'apiinfo.version', {}, z.string().regex(/^\d{1,3}\.\d{1,3}[\w.-]{0,30}$/))
}

export function isAtLeast(version: string, major: number, minor: number): boolean {
  const [ownMajor = 0, ownMinor = 0] = version.split('.').map(Number)
  return ownMajor > major || (ownMajor === major && ownMinor >= minor)
}
