import { createHmac, hash, timingSafeEqual } from 'node:crypto'
import { makeReading } from './reading.ts'

const algorithms = { 'hmac-sha1': 'sha1', 'hmac-sha256': 'sha256', 'hmac-sha512': 'sha512' } as const

type Claim = {
  readonly scheme: keyof typeof algorithms | 'shared'
  /** The MAC in hexadecimal, or the secret itself for `shared`. */
  readonly proof: string
  readonly body: Uint8Array
}

/** Whether a claim was made by somebody who knows the secret. The value never leaves this room; compared in constant time. */
export function makeProof(parts: Parameters<typeof makeReading>[0]) {
  const { use } = makeReading(parts)
  return async function proves(id: string, owner: string, { scheme, proof, body }: Claim): Promise<boolean> {
    const secret = (await use(id, owner)).reveal()
    if (scheme === 'shared') return timingSafeEqual(digest(proof), digest(secret))
    const expected = createHmac(algorithms[scheme], secret).update(body).digest('hex')
    return timingSafeEqual(digest(proof.toLowerCase()), digest(expected))
  }
}

/** Of one length whatever the text, so that the comparison can be constant. */
function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer')
}
