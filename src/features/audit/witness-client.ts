import { cosignedAt } from '../../lib/cosignature.ts'
import type { Send } from '../../lib/outbound.ts'
import { NoteError, parseNote } from '../../lib/signed-note.ts'
import type { PolicyWitness } from '../../lib/tlog-policy.ts'
import { sizeOf } from './checkpoints.ts'

type Parts = {
  readonly send: Send
  readonly proveConsistency: (older: number, newer: number) => Promise<readonly Buffer[]>
}

const answerMs = 5_000

/** A witness remembers more than this log has, or something else: the database may have been put back. */
export class Contradicted extends Error {}

export function makeWitnessClient({ send, proveConsistency }: Parts) {
  /**
   * Shows a checkpoint to the witness at `url`, which is thought to have cosigned `last` entries. Answers the valid signature lines
   * of `witnesses`. A 409 tells the size that the witness has; from there it is shown the growth once more.
   */
  return async function submit(
    url: string,
    checkpoint: string,
    last: number,
    witnesses: readonly PolicyWitness[],
  ): Promise<string> {
    const size = sizeOf(checkpoint)
    let old = Math.min(last, size)
    for (let attempt = 0; ; attempt++) {
      const proof = (await proveConsistency(old, size)).map((hash) => `${hash.toString('base64')}\n`)
      const headers = { 'content-type': 'text/plain; charset=utf-8' }
      const body = `old ${old}\n${proof.join('')}\n${checkpoint}`
      const answer = await send({ url: `${url}/add-checkpoint`, headers, body, timeoutMs: answerMs })
      const text = answer.body.toString('utf8')
      if (answer.status === 200) return validLines(checkpoint, text, witnesses)
      const theirs = answer.status === 409 ? sizeIn(text) : undefined
      if (theirs !== undefined && theirs > size)
        throw new Contradicted(
          `the witness has cosigned ${theirs} entries, and this log has ${size}: was the database put back?`,
        )
      if (answer.status === 422)
        throw new Contradicted(`the witness has cosigned other entries than the first ${old} of this log`)
      if (theirs === undefined || attempt > 0) throw new Error(`the witness answered ${answer.status}`)
      old = theirs
    }
  }
}

/** The names of the witnesses whose cosignatures a note carries. Throws `NoteError` for a wrong one. */
export function namesOn(note: string, witnesses: readonly PolicyWitness[]): ReadonlySet<string> {
  const { text, signatures } = parseNote(Buffer.from(note))
  const cosigned = witnesses.filter(({ key }) => signatures.some((line) => cosignedAt(text, line, key) !== undefined))
  return new Set(cosigned.map(({ name }) => name))
}

function validLines(checkpoint: string, body: string, witnesses: readonly PolicyWitness[]): string {
  const text = checkpoint.slice(0, checkpoint.indexOf('\n\n') + 1)
  const lines = body.split('\n').filter((line) => {
    if (line === '') return false
    return namesOn(`${text}\n${line}\n`, witnesses).size > 0
  })
  if (lines.length === 0) throw new NoteError('the witness answered no cosignature of a known key')
  return lines.map((line) => `${line}\n`).join('')
}

function sizeIn(body: string): number | undefined {
  const [, size] = /^(0|[1-9][0-9]{0,14})\n$/.exec(body) ?? []
  return size === undefined ? undefined : Number(size)
}
