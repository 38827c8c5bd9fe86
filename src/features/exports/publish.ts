import type { FileHandle } from 'node:fs/promises'
import { z } from 'zod'
import type { Principal } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import { newId } from '../../lib/ids.ts'
import { fileName, invalid, type StoredProblem, storedProblem } from './export.ts'
import type { ExportsParts } from './parts.ts'
import type { ExportRow } from './store.ts'

/** What a plan does with each file: an action, with `{{name}}` and `{{base64}}` of the file in the texts of its input. */
export const Publish = z.strictObject({
  action: z.string().min(1).max(128).describe('An action of a connected system that writes.'),
  input: z
    .record(z.string().max(64), z.unknown())
    .describe('Its input; in texts, {{name}} becomes the name of the file and {{base64}} its content.'),
})
export type Publish = z.output<typeof Publish>

/** How it went with the last file. `pending`: it waits for a person's yes. */
export type Publication = {
  readonly state: 'done' | 'pending' | 'failed'
  readonly export: string
  readonly at: string
  readonly approval?: string
  readonly problem?: StoredProblem
}

/** The file is in memory three times while it is sent, and in the approval while it waits. */
const mostBytes = 8 * 1_048_576
const sample = { name: 'sample.xlsx', base64: 'c2FtcGxl' }

type Parts = Pick<ExportsParts, 'publish' | 'mayAsk' | 'now'> & {
  readonly open: (id: string) => Promise<FileHandle | undefined>
}

/** Sends a plan's file on through the gate, as Atlas itself; never where the plan's owner may not. */
export function makePublisher(parts: Parts) {
  const { publish, mayAsk, now, open } = parts

  /** @throws Problem invalid-input when there is no such action or the input does not fit, denied when the owner may not */
  async function check(owner: Principal, { action: name, input }: Publish): Promise<void> {
    const action = publish.actionOf(name)
    if (!action) throw invalid('/publish/action', 'is no action of a connected system that writes')
    const filled = fill(input, sample)
    const [issue] = action.input.safeParse(filled).error?.issues ?? []
    if (issue) throw invalid(`/publish/input/${issue.path.join('/')}`, issue.message.slice(0, 300))
    if (!mayAsk(owner, name, await publish.resourceOf(filled)))
      throw new Problem('denied', `A plan may publish only what its owner may: ${name}`)
  }

  async function send(row: ExportRow, owner: Principal, { action, input }: Publish) {
    const base64 = await read(row)
    const principal = { ...publish.system(), onBehalfOf: owner.id }
    const call = { door: 'schedule', principal, requestId: newId('req'), signal: AbortSignal.timeout(600_000) } as const
    return publish.invoke(call, action, fill(input, { name: fileName(row), base64 }))
  }

  async function read({ id, byte_count }: ExportRow): Promise<string> {
    if (Number(byte_count) > mostBytes)
      throw new Problem('too-large', 'Files above 8 MiB are not published; filter more, or choose xlsx')
    const handle = await open(id)
    if (!handle) throw new Problem('gone', 'The file was removed before it was published')
    try {
      return (await handle.readFile()).toString('base64')
    } finally {
      await handle.close()
    }
  }

  return {
    check,

    async publish(row: ExportRow, owner: Principal, what: Publish): Promise<Publication> {
      const about = { export: row.id, at: now().toISOString() }
      try {
        await check(owner, what)
        const answer = await send(row, owner, what)
        return 'pending' in answer
          ? { ...about, state: 'pending', approval: answer.pending }
          : { ...about, state: 'done' }
      } catch (error) {
        return { ...about, state: 'failed', problem: storedProblem(error) }
      }
    },
  }
}

/** One pass over each text, so that nothing in a file's name is taken for a placeholder. */
function fill(value: unknown, file: { readonly name: string; readonly base64: string }): unknown {
  if (typeof value === 'string')
    return value.replaceAll(/\{\{(name|base64)\}\}/g, (_, key: 'name' | 'base64') => file[key])
  if (Array.isArray(value)) return value.map((item) => fill(item, file))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item, file)]))
}
