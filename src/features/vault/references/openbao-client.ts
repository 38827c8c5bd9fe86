import type { Secret } from '../../../core/secret.ts'
import type { Send } from '../../../lib/outbound.ts'
import { askJson, type JsonAnswer } from './asking.ts'
import { Unreadable } from './source.ts'

type Parts = {
  readonly send: Send
  /** https, or http on loopback: the configuration saw to it. */
  readonly url: string
  readonly namespace?: string | undefined
  /** Asked for each request: an agent may have put a new one in its place. @throws Unreadable */
  readonly token: () => Secret
}

export type VaultClient = ReturnType<typeof makeVaultClient>

/** The HTTP API of OpenBao and Vault (https://openbao.org/api-docs/). Paths are those behind `/v1/`. */
export function makeVaultClient({ send, url, namespace, token }: Parts) {
  return {
    /** An answer of 200, 204, 400 or 404; every other is `Unreadable`. */
    async ask(method: 'GET' | 'PUT', path: string, body?: object, signal?: AbortSignal): Promise<JsonAnswer> {
      const segments = path.split('?', 1)[0]?.split('/').map(encodeURIComponent) ?? []
      const query = path.slice(path.split('?', 1)[0]?.length)
      const answer = await askJson(send, 'the vault', {
        url: `${url.replace(/\/$/, '')}/v1/${segments.join('/')}${query}`,
        method,
        headers: {
          'x-vault-token': token().reveal(),
          // An agent in between can be told to pass on only what says this.
          'x-vault-request': 'true',
          ...(namespace !== undefined && { 'x-vault-namespace': namespace }),
          ...(body && { 'content-type': 'application/json' }),
        },
        ...(body && { body: JSON.stringify(body) }),
        ...(signal && { signal }),
      })
      if (![200, 204, 400, 404].includes(answer.status)) throw new Unreadable(reasonOf(answer.status))
      return answer
    },
  }
}

function reasonOf(status: number): string {
  if (status === 401 || status === 403)
    return 'the vault refuses it: the token of Atlas has ended, or its policy does not allow this path'
  if (status === 429) return 'the vault is busy'
  if (status === 503) return 'the vault is sealed or under maintenance'
  return `the vault failed (${status})`
}
