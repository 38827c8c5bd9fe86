import type { ConnectionContext } from '../../core/connector.ts'
import { ask, type Config } from './api.ts'
import { CommServ, StoragePools } from './schema.ts'

/** The feature release from which access tokens exist, and the oldest that this connector was written for. */
const oldestRelease = 32

/** Asks for the CommServe's version, and whether the account may see clients' storage. Rights themselves are not readable. */
export async function check({ http, config }: ConnectionContext<Config>) {
  const { body } = await ask(http, config, CommServ, { method: 'GET', path: '/CommServ' })
  const pools = await ask(http, config, StoragePools, { method: 'GET', path: '/StoragePool' })
  const release = Number.parseInt(String(body.currentSPVersion ?? ''), 10)
  const version = body.csVersionInfo || (Number.isNaN(release) ? 'unknown' : `11 SP${release}`)
  return {
    version,
    warnings: [
      ...(release < oldestRelease
        ? [`Feature release ${release} is older than ${oldestRelease}: it may work, but nobody tried.`]
        : []),
      ...((pools.body.storagePoolList ?? []).length === 0
        ? ['The account sees no storage pool. If there are some, it lacks the right to view them.']
        : []),
    ],
  }
}
