import type { Tickets } from './tickets.ts'

/** Hits beyond this many are refused by Elasticsearch (index.max_result_window). */
export const window = 10_000

/**
 * The ids that a query finds: `updated_at:[… TO *]`, `id:5`, `id:[5 TO *]` joined by AND, otherwise words of title, number or
 * state. Without an index (`indexed` false) only words, as Zammad's database search does.
 */
export function search(tickets: Tickets, query: string, indexed: boolean, seenAt: (id: number) => number): number[] {
  const tests = query.split(' AND ').map((part) => testOf(tickets, part.trim(), indexed, seenAt))
  return [...tickets.ids()].filter((id) => tests.every((test) => test(id)))
}

function testOf(tickets: Tickets, part: string, indexed: boolean, seenAt: (id: number) => number) {
  const [, since] = /^updated_at:\[(\S+) TO \*\]$/.exec(part) ?? []
  if (indexed && since !== undefined) return (id: number) => seenAt(id) >= Date.parse(since)
  const [, from, exact] = /^id:(?:\[(\d+) TO \*\]|(\d+))$/.exec(part) ?? []
  if (indexed && from !== undefined) return (id: number) => id >= Number(from)
  if (indexed && exact !== undefined) return (id: number) => id === Number(exact)
  const [, state] = /^state\.name:(.+)$/.exec(part) ?? []
  if (indexed && state !== undefined) return (id: number) => tickets.ticket(id, true)['state'] === state
  const words = part.toLowerCase()
  return (id: number) => tickets.titleOf(id).toLowerCase().includes(words) || String(60_000 + id) === words
}
