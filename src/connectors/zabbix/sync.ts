import type { Cursor, Observation, SyncBatch, SyncContext } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { baseOf, observeGroup, observeHost, observeProblem, observeTrigger } from './observe.ts'
import { hostGroups, hostIds, hosts, problemPages, triggerIdsInProblem, triggers } from './read.ts'
import { versionOf } from './rpc.ts'

type Config = { readonly url: string; readonly pageSize: number }

/**
 * Reads everything in every run, and says so (`full`). Zabbix does not note when a host changed, an acknowledgement or a
 * deletion leaves no trace that a reader may see, and a problem can end without one (its trigger is switched off). What is
 * read is small, and so what has ended or is deleted becomes stale in the same run.
 */
export async function* sync({ http, config }: SyncContext<Config>): AsyncGenerator<SyncBatch, Cursor> {
  const base = baseOf(config)
  const version = await versionOf(http)
  const groups = await hostGroups(http)
  // Without rights Zabbix answers empty lists, and everything known so far would become stale.
  if (groups.length === 0)
    throw new Problem(
      'upstream-denied',
      'The Zabbix account sees no host group: give its user group the right to read the host groups that Atlas may see.',
    )
  yield batch(
    'host groups',
    groups.length,
    groups.map((row) => observeGroup(row, base)),
  )

  const ids = await hostIds(http)
  for (const some of chunks(ids, config.pageSize)) {
    const rows = await hosts(http, version, some)
    yield batch(
      'hosts',
      ids.length,
      rows.map((row) => observeHost(row, base)),
    )
  }

  const inProblem = await triggerIdsInProblem(http)
  for (const some of chunks(inProblem, config.pageSize)) {
    const rows = (await triggers(http, some)).filter((row) => row.value === 1)
    yield batch(
      'triggers in problem state',
      inProblem.length,
      rows.map((row) => observeTrigger(row, base)),
    )
  }

  for await (const open of problemPages(http, config.pageSize)) {
    yield batch(
      'open problems',
      undefined,
      open.map((one) => observeProblem(one, base)),
    )
  }
  return {}
}

function batch(stage: string, total: number | undefined, observations: readonly Observation[]): SyncBatch {
  return { stage, ...(total !== undefined && { total }), observations, full: true }
}

function* chunks<T>(list: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < list.length; at += size) yield list.slice(at, at + size)
}
