import type { Send } from '../../lib/outbound.ts'
import type { Policy, PolicyWitness } from '../../lib/tlog-policy.ts'
import { sizeOf } from './checkpoints.ts'
import type { AuditEvent } from './event.ts'
import type { makeWitnessRecord, WitnessRow } from './store-witness.ts'
import { Contradicted, makeWitnessClient, namesOn } from './witness-client.ts'

type Parts = {
  readonly policy: Policy
  readonly record: ReturnType<typeof makeWitnessRecord>
  /** The signed head, signed now when it is not yet. */
  readonly checkpoint: () => Promise<string>
  readonly proveConsistency: (older: number, newer: number) => Promise<readonly Buffer[]>
  readonly append: (event: AuditEvent) => Promise<unknown>
  readonly isSigner: () => boolean
  readonly now: () => Date
  readonly onFault: (error: unknown) => void
  readonly send: Send
}

const roundMs = 10_000

/**
 * Shows each new checkpoint to the witnesses of the policy (C2SP tlog-witness) and keeps their cosignatures. Only the process that signs
 * does it. A witness that does not answer is asked again in the next round; the log itself never waits for it.
 */
export function makeWitnesses(parts: Parts) {
  const { policy, record, onFault } = parts
  const urls = Map.groupBy(
    policy.witnesses.filter(({ url }) => url !== undefined),
    ({ url }) => (url as string).replace(/\/+$/, ''),
  )
  const askOne = makeAsk(parts)
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined

  /** One at a time; who comes meanwhile waits for the one that runs. */
  function round(): Promise<void> {
    running ??= ask().finally(() => {
      running = undefined
    })
    return running
  }

  async function ask(): Promise<void> {
    if (urls.size === 0) return
    const text = await parts.checkpoint()
    if (!parts.isSigner()) return
    const size = sizeOf(text)
    const kept = await record.cosigned()
    const isKept = kept !== undefined && sizeOf(kept) === size
    if (size === 0 || (isKept && namesOn(kept, policy.witnesses).size === policy.witnesses.length)) return
    const known = new Map((await record.witnesses()).map((row) => [row.name, row]))
    const lines = await Promise.all([...urls].map(([url, at]) => askOne(url, at, text, known)))
    const note = text + lines.join('')
    await record.keep(size, note, policy.isMet(namesOn(note, policy.witnesses)))
  }

  return {
    /** Whether any witness is asked; a policy may name none with an address. */
    asks: urls.size > 0,
    /** The newest checkpoint that has the cosignatures of the policy, asked for anew when this process signs. */
    async published(): Promise<string | undefined> {
      await round()
      return record.cosigned()
    },
    status: () => record.witnesses(),
    start(): void {
      if (urls.size > 0) timer = setInterval(() => void round().catch(onFault), roundMs).unref()
    },
    async stop(): Promise<void> {
      clearInterval(timer)
      await running?.catch(onFault)
    },
  }
}

function makeAsk({ record, now, onFault, append, send, proveConsistency }: Parts) {
  const submit = makeWitnessClient({ send, proveConsistency })
  const told = new Set<string>()

  /** The valid signature lines of the witnesses at `url`; none when it did not cosign, which is recorded and not thrown. */
  return async function askOne(
    url: string,
    at: readonly PolicyWitness[],
    text: string,
    known: ReadonlyMap<string, WitnessRow>,
  ): Promise<string> {
    const [{ name: first }] = at as [PolicyWitness]
    const last = known.get(first)?.size ?? 0
    const heard = (size: number, fault: string | null) =>
      Promise.all(at.map(({ name }) => record.heard({ name, size, at: now().toISOString(), fault })))
    try {
      const lines = await submit(url, text, last, at)
      await heard(sizeOf(text), null)
      return lines
    } catch (error) {
      onFault(error)
      const fault = (error instanceof Error ? error.message : 'failed').slice(0, 300)
      await heard(last, fault)
      if (error instanceof Contradicted && !told.has(first)) {
        told.add(first)
        await append({ code: 'log.witness-contradicts', outcome: 'conflict', detail: { witness: first, fault } })
      }
      return ''
    }
  }
}
