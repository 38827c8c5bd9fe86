import type { ConnectionContext } from '../../core/connector.ts'
import { list } from './query.ts'
import { Names, Version } from './schema.ts'

/** Asks for the version and for one node, which proves that the credential may read. */
export async function check({ http }: ConnectionContext) {
  const { version } = await http.get('/pdb/meta/v1/version', Version)
  const { total } = await list(http, 'nodes', Names, { fields: ['certname'], orderBy: 'certname', limit: 1 })
  return { version, warnings: [...versionWarnings(version), ...(total === 0 ? ['There are no active nodes.'] : [])] }
}

function versionWarnings(version: string): string[] {
  const major = Number.parseInt(version, 10)
  return major < 6 ? [`PuppetDB ${major} is older than 6: it is read as far as it can be, but it was not tried.`] : []
}
