import { CliError, type Client, type Json, type Query } from './client.ts'
import { clean } from './output.ts'

type Kind = {
  readonly what: string
  /** What is an id already is not looked up. */
  readonly id: RegExp
  readonly lists: readonly (readonly [path: string, query: Query])[]
  readonly names: (row: Json) => readonly unknown[]
  /** Tells things of one name apart. */
  readonly about: (row: Json) => readonly unknown[]
  readonly isGone?: (row: Json) => boolean
}

const kinds = {
  principal: {
    what: 'user or agent',
    id: /^(usr|agt|sys)_/,
    lists: [
      ['/users', {}],
      ['/users', { kind: 'agent' }],
    ],
    names: ({ username, name }) => (username === null ? [name] : [username]),
    about: ({ kind, createdAt }) => [kind, createdAt],
  },
  secret: {
    what: 'secret',
    id: /^sec_/,
    lists: [['/secrets', {}]],
    names: ({ name }) => [name],
    about: ({ kind, owner }) => [kind, owner],
    isGone: ({ destroyedAt }) => destroyedAt !== null,
  },
  token: {
    what: 'token',
    id: /^tok_/,
    lists: [['/tokens', {}]],
    names: ({ name }) => [name],
    about: ({ principalName, createdAt }) => [principalName, createdAt],
    isGone: ({ state }) => state === 'revoked' || state === 'expired',
  },
} satisfies Record<string, Kind>

/** The id of what a person named, or the id as it was given. Exact names only; throws for none and for several. */
export async function findId(client: Client, kind: keyof typeof kinds, idOrName: string): Promise<string> {
  const { what, id, lists, names, about, isGone }: Kind = kinds[kind]
  if (id.test(idOrName)) return idOrName
  const rows = (await Promise.all(lists.map(([path, query]) => listAll(client, path, query)))).flat()
  const found = rows.filter((row) => !isGone?.(row) && names(row).some((name) => same(name, idOrName)))
  return only(found, `${what} “${idOrName}”`, about)
}

/** The id of an asset by its exact name; also of one that its system no longer reports, if no other has the name. */
export async function findAsset(client: Client, idOrName: string): Promise<string> {
  if (/^ast_/.test(idOrName)) return idOrName
  for (const stale of [false, true]) {
    const { items } = await client.get('/assets', { q: idOrName, stale, limit: 200 })
    const found = (items as Json[]).filter(({ name }) => same(name, idOrName))
    if (found.length > 0)
      return only(found, `asset “${idOrName}”`, ({ kind, source }) => [kind, (source as Json | undefined)?.['name']])
  }
  throw new CliError(`There is no asset “${idOrName}”. Part of a name finds more: atlas search ${idOrName}`)
}

/** Every row of a list, page by page. */
export async function listAll(client: Client, path: string, query: Query = {}): Promise<Json[]> {
  const rows: Json[] = []
  let cursor: unknown
  do {
    const page = await client.get(path, { ...query, ...(typeof cursor === 'string' && { cursor }) })
    rows.push(...(page['items'] as Json[]))
    cursor = page['next']
  } while (typeof cursor === 'string')
  return rows
}

function same(name: unknown, wanted: string): boolean {
  return typeof name === 'string' && name.normalize('NFKC').toLowerCase() === wanted.normalize('NFKC').toLowerCase()
}

function only(found: readonly Json[], wanted: string, about: Kind['about']): string {
  const [first, ...others] = found
  if (!first) throw new CliError(`There is no ${wanted}`)
  if (others.length === 0) return String(first['id'])
  const lines = found.map((row) => `  ${row['id']}  ${about(row).filter(Boolean).map(String).map(clean).join('  ')}`)
  throw new CliError([`There is more than one ${wanted}; give the id:`, ...lines].join('\n'))
}
