import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '../../core/problem.ts'
import { LogDamaged, type makeHeads } from './head.ts'
import type { Lease } from './lease.ts'
import type { makeSigner } from './signing.ts'
import type { makeStore } from './store.ts'
import type { LeaseStore } from './store-lease.ts'
import type { StoreReader } from './store-read.ts'

type Parts = {
  readonly store: ReturnType<typeof makeStore>
  readonly reader: StoreReader
  readonly heads: ReturnType<typeof makeHeads>
  readonly leases: LeaseStore
  readonly lease: Lease
  readonly sign: ReturnType<typeof makeSigner>
  readonly onDamage: (error: LogDamaged) => void
  /** The lease came into this process's hands. */
  readonly onTaken: (fence: number) => void
}

const patienceMs = 15_000
const lookMs = 200

/** Checkpoints of everything committed: signed here when this process holds the lease, waited for when another does. */
export function makeCheckpoints({ store, reader, heads, leases, lease, sign, onDamage, onTaken }: Parts) {
  let signed: { size: number; checkpoint: string } | undefined

  /**
   * The signed head of everything committed before the call. Throws `LogDamaged` (and stops the log) rather than sign a second
   * history, and `audit-unavailable` when nobody signs.
   */
  async function checkpoint(): Promise<string> {
    const target = (await reader.head())?.size ?? 0
    if (signed && signed.size === target) return signed.checkpoint
    const end = performance.now() + patienceMs
    for (;;) {
      const text = await signOrAsk(target)
      if (text !== undefined) return text
      if (performance.now() > end)
        throw new Problem('audit-unavailable', 'No process signs the audit log at the moment')
      await sleep(lookMs)
    }
  }

  async function signOrAsk(target: number): Promise<string | undefined> {
    try {
      const { fence, text } = await store.write(async (writer) => {
        const number = await lease.take(writer.reader)
        if (number !== undefined) return { fence: number, text: await sign(writer) }
        const { size, checkpoint: stored } = heads.read(await writer.lockHead())
        if (stored !== null && sizeOf(stored) > size)
          throw new LogDamaged(`the log of ${sizeOf(stored)} entries was cut to ${size}`)
        if (stored !== null && sizeOf(stored) >= target) return { fence: undefined, text: stored }
        await leases.ask(writer.reader, target)
        return { fence: undefined, text: undefined }
      })
      if (lease.took(fence) && fence !== undefined) onTaken(fence)
      if (text !== undefined) signed = { size: sizeOf(text), checkpoint: text }
      return text
    } catch (error) {
      if (error instanceof LogDamaged) onDamage(error)
      throw error
    }
  }

  return { checkpoint, signedSize: () => signed?.size ?? 0 }
}

export function sizeOf(checkpoint: string): number {
  return Number(checkpoint.split('\n')[1])
}
