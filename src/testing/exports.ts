import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { defineAction, type Principal, type Resource } from '../core/action.ts'
import { Problem } from '../core/problem.ts'
import { defineDataset } from '../features/exports/dataset.ts'
import { makeExports } from '../features/exports/exports.ts'
import type { ExportsParts } from '../features/exports/parts.ts'
import type { Order } from '../features/exports/starting.ts'
import type { Row } from '../features/exports/table.ts'
import type { Database } from '../lib/db/database.ts'
import { fixedClock } from './databases.ts'

// For the tests of this room: a dataset whose pages a test can hold back, and a gate that notes what it is asked.

export const ada = someone('usr_ada', 'developer')
export const bob = someone('usr_bob', 'viewer')
export const eve = someone('usr_eve', 'developer')
export const root = someone('usr_root', 'admin')
export const system: Principal = { id: 'sys_1', kind: 'system', name: 'schedule', bindings: [], version: '1' }

export function someone(id: string, role: string, rest: Partial<Principal> = {}): Principal {
  return { id, kind: 'user', name: id.slice(4), bindings: [{ role, scope: '*' }], version: '1', ...rest }
}

export const order: Order = {
  dataset: 'machines',
  params: {},
  format: 'jsonl',
  profile: 'full',
  keepDays: 7,
}

export const attach = defineAction({
  name: 'wiki.page.attach',
  title: 'Attach',
  description: 'Attaches a file.',
  access: 'write',
  http: { method: 'POST', path: '/wiki' },
  input: z.strictObject({ connection: z.string(), file: z.string().max(200), content: z.string() }),
  output: z.object({}),
  resource: ({ connection }) => ({ type: 'connection', id: connection }),
  run: async () => ({}),
})

export type Asked = { principal: string; onBehalfOf: string | undefined; name: string; input: unknown }

/** A room, and everything that a test may turn. */
export function setUp(t: TestContext, database: Database, more: Partial<ExportsParts> = {}) {
  const clock = fixedClock()
  const base = mkdtempSync(join(tmpdir(), 'atlas-exports-'))
  const folder = join(base, 'exports')
  const world = {
    rows: [[['web-1'], ['web-2']], [['web-3']]] as readonly (readonly Row[])[],
    /** Awaited before the second page. */
    hold: Promise.resolve(),
    pagesRead: 0,
    forbidden: new Set<string>(),
    people: new Map([ada, bob, eve, root].map((one) => [one.id, one])),
    asked: [] as Asked[],
    answer: { output: {} } as { output: unknown } | { pending: string } | Problem,
    approval: undefined as string | undefined,
    logged: [] as string[],
  }
  const note = (fields: object, message: string) => void world.logged.push(`${message} ${JSON.stringify(fields)}`)
  const allows = (principal: Principal, action: string, { type, id }: Resource) =>
    !world.forbidden.has(`${principal.id} ${action} ${type}/${id}`)
  const make = (other: Partial<ExportsParts> = {}) =>
    makeExports({
      database,
      folder,
      datasets: { machines: machines(world), pair: pair(world) },
      may: allows,
      mayAsk: allows,
      findPrincipal: async (id) => world.people.get(id),
      redact: (value) => JSON.parse(JSON.stringify(value).replaceAll('top-secret-value', '[secret]')),
      publish: {
        actionOf: (name) => (name === attach.name ? attach : undefined),
        resourceOf: async (input) => ({
          type: 'connection',
          id: String((input as { connection?: unknown }).connection),
        }),
        system: () => system,
        async invoke({ principal }, name, input) {
          world.asked.push({ principal: principal.id, onBehalfOf: principal.onBehalfOf, name, input })
          if (world.answer instanceof Problem) throw world.answer
          return world.answer
        },
        approvalState: async () => world.approval,
      },
      now: clock.now,
      log: { info: note, warn: note, error: note },
      ...more,
      ...other,
    })
  const room = make()
  t.after(async () => {
    await room.close()
    rmSync(base, { recursive: true, force: true })
  })
  return { room, make, world, clock, folder, base }
}

type World = { readonly rows: readonly (readonly Row[])[]; readonly hold: Promise<void>; pagesRead: number }

async function* pages(world: World): AsyncGenerator<readonly Row[]> {
  for (const [i, page] of world.rows.entries()) {
    if (i > 0) await world.hold
    world.pagesRead++
    yield page
  }
}

const columns = [{ key: 'name', title: 'Name', type: 'text', holds: 'name' }] as const
const reads = ['machines.list', 'machines.get']

function machines(world: World) {
  return defineDataset({
    title: 'Machines',
    describe: 'Machines.',
    params: z.object({ site: z.string().max(10).optional() }),
    reads,
    sheets: () => [{ name: 'Machines', columns, rows: () => pages(world) }],
  })
}

function pair(world: World) {
  const sheets = ['One', 'Two'].map((name) => ({ name, columns, rows: () => pages(world) }))
  return defineDataset({ title: 'Pair', describe: 'Two.', params: z.strictObject({}), reads, sheets: () => sheets })
}

/** Asks again until it is so. */
export async function until<T>(look: () => Promise<T | undefined | false>): Promise<T> {
  for (let i = 0; i < 2_000; i++) {
    const found = await look()
    if (found) return found
    await sleep(5)
  }
  throw new Error('it did not come true')
}

/** The end of a run, whatever it is. */
export function ended(room: ReturnType<typeof makeExports>, id: string) {
  return until(async () => {
    const view = await room.get(root, id)
    return view.state !== 'running' && view
  })
}

export async function outcome(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'done'
  } catch (error) {
    if (error instanceof Problem) return error.type
    throw error
  }
}
