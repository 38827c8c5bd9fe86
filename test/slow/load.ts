import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Atlas } from '../../src/testing/server.ts'

// What a busy server does all day, so many requests a second: secrets are stored, looked at and revealed, people sign
// in, the audit log is read and signed.

export const password = 'Zw4-marmot-Quince-71-lattice'
export type Secrets = Map<string, string>

/** Under way at once. A machine that cannot keep up gets fewer requests a second, not a queue that never ends. */
const most = 64

/** `secrets` gets what the server acknowledged: ids and values. */
export function startLoad(atlas: Atlas, secrets: Secrets, perSecond: number) {
  const failures: string[] = []
  const times: number[] = []
  const running = new Set<Promise<void>>()
  const startedAt = performance.now()
  let isEnding = false
  const pacing = pace()

  async function pace(): Promise<void> {
    const began = performance.now()
    for (let sent = 0; !isEnding; await sleep(5))
      for (; sent < ((performance.now() - began) / 1000) * perSecond; sent++) if (running.size < most) begin(sent)
  }

  function begin(index: number): void {
    const at = performance.now()
    const done = one(atlas, secrets, index)
      .then(() => void times.push(performance.now() - at))
      .catch((error: Error) => {
        if (!isEnding) failures.push(`request ${index}: ${error.message}`)
      })
      .finally(() => running.delete(done))
    running.add(done)
  }

  return {
    failures,
    requests: () => times.length,
    perSecond: () => Math.round((times.length / (performance.now() - startedAt)) * 1000),
    percentile: (part: number) => Math.round(times.toSorted((a, b) => a - b)[Math.floor(times.length * part)] ?? 0),
    /** Nothing is sent any more; what was sent still counts. */
    async end(): Promise<void> {
      const last = [...running]
      await Promise.all([...last])
      isEnding = true
      await pacing
      await Promise.all([...running])
    },
    /** The server is about to be killed: what fails from here on is no failure. */
    async abandon(): Promise<void> {
      isEnding = true
      await pacing
      await Promise.all([...running])
    },
  }
}

async function one(atlas: Atlas, secrets: Secrets, index: number): Promise<void> {
  if (index % 200 === 100) return signIn(atlas)
  const [id, value] = [...secrets][randomBytes(2).readUInt16BE() % (secrets.size || 1)] ?? []
  const kind = index % 10
  if (kind < 3 || id === undefined) return put(atlas, secrets, index)
  if (kind < 6) {
    const revealed = await atlas.api<{ value: string }>('POST', `/secrets/${id}/reveal`, {})
    assert.equal(revealed.value, value)
  } else if (kind < 8) await atlas.api('GET', `/secrets/${id}`)
  else if (kind < 9) await atlas.api('GET', '/audit/events?limit=5')
  else await atlas.api('GET', index % 20 === 9 ? '/vault/keys' : '/audit/checkpoint')
}

async function put(atlas: Atlas, secrets: Secrets, index: number): Promise<void> {
  const value = randomBytes(18).toString('base64url')
  const name = `secret ${index} ${value.slice(0, 6)}`
  const { id } = await atlas.api<{ id: string }>('POST', '/secrets', { name, value })
  secrets.set(id, value)
}

async function signIn(atlas: Atlas): Promise<void> {
  const { status, text } = await atlas.ask('POST', '/api/v1/login', {
    token: undefined,
    body: { username: 'admin', password },
  })
  assert.equal(status, 200, text)
}
