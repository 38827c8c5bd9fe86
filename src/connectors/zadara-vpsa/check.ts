import type { ConnectionContext } from '../../core/connector.ts'
import { ListOf } from './schema.ts'
import { lists } from './sync.ts'

/** Asks for the controllers: only a valid key may, and they know the version. The API tells neither whose key it is nor what it may do. */
export async function check({ http }: ConnectionContext) {
  const { path, key, item } = lists.controllers
  const { rows } = await http.get(path, ListOf(key, item), { start: 0, limit: 20 })
  const active = rows.find((one) => one.state?.toLowerCase() === 'active') ?? rows[0]
  return {
    version: active?.software_ver || 'unknown',
    warnings: active?.state?.toLowerCase() === 'active' ? [] : ['No controller of this VPSA is active.'],
  }
}
