import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { Secret } from '../../../core/secret.ts'
import { canonicalJson } from '../../../lib/canonical.ts'
import type { Pkcs11Answer, Pkcs11Task } from './pkcs11-process.ts'
import { type Binding, type Seal, SealError, type SealReason } from './seal.ts'

export type Pkcs11Settings = {
  /** Absolute path of the vendor's library. */
  readonly module: string
  /** The label of the token, or the number of its slot. */
  readonly token?: string | undefined
  readonly slot?: number | undefined
  /** The label of an AES-256 key that cannot leave the token. */
  readonly key: string
  readonly pin: Secret
  /** What the vendor's library finds in its environment; none of our settings. */
  readonly environment: Readonly<Record<string, string>>
}

const program = fileURLToPath(new URL('./pkcs11-process.ts', import.meta.url))
const timeoutMs = 20_000
const largestAnswer = 65_536

/** A key in a hardware token: AES-256-GCM in the token, bound by the additional data. Needs `node:ffi` (Node 26.1 or later). */
export function makePkcs11Seal({ key, pin, environment, ...place }: Pkcs11Settings): Seal {
  const keyName = `${place.token ?? `slot ${place.slot}`}/${key}`
  const self = { kind: 'pkcs11', keyName } as const

  async function ask(verb: Pkcs11Task['verb'], nonce: Buffer, input: Buffer, binding: Binding) {
    const task = {
      ...place,
      key,
      pin: pin.reveal(),
      verb,
      nonce: nonce.toString('base64'),
      aad: Buffer.from(canonicalJson(binding)).toString('base64'),
      input: input.toString('base64'),
    }
    const answer = await runTask(task, environment).catch((cause: unknown) => {
      throw new SealError('failed', self, { cause })
    })
    if (!answer) throw new SealError('unreachable', self)
    if ('fault' in answer) throw new SealError(reasonOf[answer.fault], self)
    return { output: Buffer.from(answer.output, 'base64'), nonce: answer.nonce }
  }

  return {
    ...self,
    async wrap(plain, binding) {
      const { output, nonce } = await ask('wrap', randomBytes(12), plain, binding)
      return `${nonce}:${output.toString('base64')}`
    },
    async unwrap(wrapped, binding) {
      const [nonce = '', box = ''] = wrapped.split(':')
      return (await ask('unwrap', Buffer.from(nonce, 'base64'), Buffer.from(box, 'base64'), binding)).output
    },
  }
}

const reasonOf: Readonly<Record<Extract<Pkcs11Answer, { fault: string }>['fault'], SealReason>> = {
  module: 'unreachable',
  token: 'unreachable',
  device: 'unreachable',
  pin: 'wrong-pin',
  key: 'no-such-key',
  'unsafe-key': 'unsafe-key',
  ciphertext: 'wrong-ciphertext',
}

/** The answer of a process of its own; undefined when none came in time. */
function runTask(task: Pkcs11Task, env: Readonly<Record<string, string>>): Promise<Pkcs11Answer | undefined> {
  return new Promise((resolve, reject) => {
    // The vendor's library runs in there, with what it may need of the environment and none of our settings.
    const child = spawn(process.execPath, [program], { stdio: ['pipe', 'ignore', 'ignore', 'pipe'], env })
    const late = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
    const chunks: Buffer[] = []
    let size = 0
    const out = child.stdio[3]
    out?.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= largestAnswer) chunks.push(chunk)
    })
    child.once('error', (error) => {
      clearTimeout(late)
      reject(error)
    })
    child.once('close', () => {
      clearTimeout(late)
      const text = Buffer.concat(chunks)
      // Killed for being late, or the library took its process down.
      if (text.length === 0) resolve(undefined)
      else
        try {
          resolve(JSON.parse(text.toString('utf8')) as Pkcs11Answer)
        } catch (error) {
          reject(error)
        } finally {
          for (const chunk of [...chunks, text]) chunk.fill(0)
        }
    })
    // A process that ended before it read its input is noticed above.
    child.stdin?.on('error', () => {})
    child.stdin?.end(JSON.stringify(task))
  })
}
