import type { Change, Hosts } from './hosts.ts'

type Entry = {
  readonly id: number
  readonly at: Date
  readonly action: string
  readonly host: number
  readonly user: string
}

/** What people did to hosts, and the only way to do it, so that nothing changes without its audit. */
export function makeAudits(hosts: Hosts, now: () => Date) {
  const entries: Entry[] = []
  const record = (action: string, host: number, user: string) =>
    entries.push({ id: entries.length + 1, at: now(), action, host, user })

  function edit(id: number, change: Change, user = 'someone'): void {
    hosts.changes.set(id, { ...hosts.changes.get(id), ...change, updatedAt: now() })
    record('update', id, user)
  }

  return {
    ids: () => entries.map(({ id }) => id),
    at: (id: number) => (entries[id - 1] as Entry).at,
    row(id: number) {
      const { at, action, host, user } = entries[id - 1] as Entry
      return {
        id,
        auditable_id: host,
        auditable_name: 'host',
        auditable_type: 'Host::Base',
        action,
        // Old and new values of any field, a root password's hash among them.
        audited_changes: { root_pass: ['canary-old-hash', 'canary-new-hash'] },
        user_name: user,
        created_at: hosts.time(at),
      }
    },
    edit,
    add(name: string): number {
      const id = hosts.add(name)
      record('create', id, 'someone')
      return id
    },
    remove(id: number): void {
      if (hosts.remove(id)) record('destroy', id, 'someone')
    },
    /** An agent's report is no audit. */
    report(id: number): void {
      hosts.changes.set(id, { ...hosts.changes.get(id), reportAt: now() })
    },
  }
}

export type Audits = ReturnType<typeof makeAudits>
