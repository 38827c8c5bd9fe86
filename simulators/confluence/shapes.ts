import type { Person, SimPage } from './rows.ts'
import type { Store } from './store.ts'

/** Pages and people as v1 writes them: only what is expanded. */
export function makeShapes({ store, isCloud }: { readonly store: Store; readonly isCloud: boolean }) {
  function contentJson(page: SimPage, expand: ReadonlySet<string>): Record<string, unknown> {
    const has = (name: string) => [...expand].some((one) => one === name || one.startsWith(`${name}.`))
    const holders = {
      user: { results: [], size: 0 },
      group: {
        results: (page.readers ?? []).map((name) => ({ type: 'group', name })),
        size: page.readers?.length ?? 0,
      },
    }
    return {
      id: String(page.id),
      type: 'page',
      status: page.status,
      title: page.title,
      ...(has('space') && {
        space: { id: store.spaceOf(page.space)?.id, key: page.space, name: store.spaceOf(page.space)?.name },
      }),
      ...(has('version') && {
        version: {
          by: personJson(page.editor),
          when: stamp(page.modifiedAt),
          number: page.version,
          minorEdit: false,
          message: '',
        },
      }),
      ...(has('history') && {
        history: { latest: true, createdBy: personJson(page.author), createdDate: stamp(page.createdAt) },
      }),
      ...(has('ancestors') && {
        ancestors: store.ancestors(page.id).map(({ id, title }) => ({ id: String(id), type: 'page', title })),
      }),
      ...(has('metadata.labels') && {
        metadata: {
          labels: {
            results: page.labels.map((name) => ({ prefix: 'global', name, id: '1' })),
            size: page.labels.length,
          },
        },
      }),
      ...(has('restrictions.read') && { restrictions: { read: { operation: 'read', restrictions: holders } } }),
      ...(has('body.storage') && { body: { storage: { value: page.storage, representation: 'storage' } } }),
      _expandable: {},
      _links: {
        webui: isCloud ? `/spaces/${page.space}/pages/${page.id}` : `/display/${page.space}/${page.id}`,
        self: `/rest/api/content/${page.id}`,
      },
    }
  }

  /** Data Center writes its own zone's offset. */
  const stamp = (at: Date) =>
    isCloud ? at.toISOString() : new Date(at.getTime() + 3_600_000).toISOString().replace('Z', '+01:00')
  const personJson = ({ accountId, name }: Person) =>
    isCloud
      ? { type: 'known', accountId, displayName: name }
      : { type: 'known', username: name.toLowerCase().replace(' ', '.'), displayName: name }

  return { contentJson, personJson }
}
