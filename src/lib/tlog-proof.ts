/** C2SP tlog-proof: one entry, its place, the way to the root, and the checkpoint, in one file that needs nothing else. */
export type TlogProof = {
  /** Atlas puts the entry itself here; the verifier hashes it. */
  readonly extra: Buffer
  readonly index: number
  readonly hashes: readonly Buffer[]
  readonly checkpoint: string
}

export function formatProof({ extra, index, hashes, checkpoint }: TlogProof): string {
  const lines = ['c2sp.org/tlog-proof@v1', `extra ${extra.toString('base64')}`, `index ${index}`]
  return `${[...lines, ...hashes.map((hash) => hash.toString('base64')), ''].join('\n')}\n${checkpoint}`
}
