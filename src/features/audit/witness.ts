import type { KeyObject } from 'node:crypto'
import { cosign } from '../../lib/cosignature.ts'
import { emptyRoot, verifyConsistency } from '../../lib/merkle.ts'
import {
  type Checkpoint,
  NoteError,
  openNote,
  parseCheckpoint,
  parseNote,
  type VerifierKey,
} from '../../lib/signed-note.ts'

/** The newest checkpoint of each log that this witness cosigned: its text and the log's own signature lines. */
export type WitnessStore = {
  readonly read: (origin: string) => Promise<string | undefined>
  /** Durable when it resolves. */
  readonly write: (origin: string, checkpoint: string) => Promise<void>
}

type Parts = {
  /** The logs that are witnessed, by their keys; a log's origin is its key's name. */
  readonly logs: readonly VerifierKey[]
  readonly name: string
  readonly keys: readonly KeyObject[]
  readonly store: WitnessStore
  readonly now: () => Date
}

export type WitnessAnswer = { readonly status: number; readonly contentType: string; readonly body: string }

const plain = 'text/plain; charset=utf-8'

class Refusal extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/**
 * A witness of logs (C2SP tlog-witness v1.0.0): it cosigns a checkpoint only when it is shown that the log grew from the checkpoint it
 * cosigned last. One log's requests are answered one after the other, so what is compared is what is replaced.
 */
export function makeWitness({ logs, name, keys, store, now }: Parts) {
  const queues = new Map<string, Promise<unknown>>()

  /** The answer to `POST add-checkpoint` with this body. */
  async function addCheckpoint(body: Uint8Array): Promise<WitnessAnswer> {
    try {
      const { old, proof, note } = parseRequest(Buffer.from(body))
      const { origin } = parseCheckpoint(parseNote(note).text)
      const key = logs.find((log) => log.name === origin)
      if (!key) throw new Refusal(404, 'this log is not witnessed here')
      const text = trusted(note, key)
      return await inTurn(origin, () => add(parseCheckpoint(text), text, { old, proof, note }))
    } catch (error) {
      if (error instanceof Refusal) return { status: error.status, contentType: plain, body: `${error.message}\n` }
      if (error instanceof NoteError) return { status: 400, contentType: plain, body: `${error.message}\n` }
      throw error
    }
  }

  async function add(head: Checkpoint, text: string, { old, proof, note }: Request): Promise<WitnessAnswer> {
    if (old > head.size) throw new Refusal(400, 'the old size is above the new one')
    const stored = await store.read(head.origin)
    const last = stored === undefined ? undefined : parseCheckpoint(parseNote(Buffer.from(stored)).text)
    if (old !== (last?.size ?? 0)) return { status: 409, contentType: 'text/x.tlog.size', body: `${last?.size ?? 0}\n` }
    if (!isConsistent(last, head, proof))
      throw new Refusal(422, 'the checkpoint does not continue the one cosigned last')
    await store.write(head.origin, note.toString('utf8'))
    const seconds = Math.floor(now().getTime() / 1000)
    return { status: 200, contentType: plain, body: keys.map((key) => cosign(text, name, key, seconds)).join('') }
  }

  function inTurn<T>(origin: string, run: () => Promise<T>): Promise<T> {
    const turn = (queues.get(origin) ?? Promise.resolve()).then(run)
    // The next in the queue starts whether or not this one failed; its own caller hears of that.
    queues.set(
      origin,
      turn.catch(() => {}),
    )
    return turn
  }

  return { addCheckpoint }
}

type Request = { readonly old: number; readonly proof: readonly Buffer[]; readonly note: Buffer }

function parseRequest(body: Buffer): Request {
  const split = body.indexOf('\n\n')
  const [first = '', ...lines] = body.toString('latin1', 0, Math.max(split, 0)).split('\n')
  const [, old] = /^old (0|[1-9][0-9]{0,14})$/.exec(first) ?? []
  const proof = lines.map((line) => Buffer.from(line, 'base64'))
  const isProof = proof.every((hash, i) => hash.length === 32 && hash.toString('base64') === lines[i])
  if (split < 0 || old === undefined || proof.length > 63 || !isProof)
    throw new Refusal(400, 'the body is an old size, a consistency proof, an empty line and a checkpoint')
  return { old: Number(old), proof, note: body.subarray(split + 2) }
}

function trusted(note: Buffer, key: VerifierKey): string {
  try {
    return openNote(note, key)
  } catch (error) {
    if (error instanceof NoteError) throw new Refusal(403, error.message)
    throw error
  }
}

function isConsistent(last: Checkpoint | undefined, head: Checkpoint, proof: readonly Buffer[]): boolean {
  if (head.size === 0 && !head.root.equals(emptyRoot)) return false
  if (!last || last.size === 0) return proof.length === 0
  return verifyConsistency(last.size, head.size, last.root, head.root, proof)
}
