import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttps } from 'node:https'
import type { AddressInfo } from 'node:net'
import { isLoopback } from './config-address.ts'
import { makeWitness, type WitnessAnswer, type WitnessStore } from './features/audit/witness.ts'
import { openWitnessKeys, openWitnessStore, vkeysOf } from './features/audit/witness-store.ts'
import { holdFolder, InUse } from './lib/db/presence.ts'
import { isKeyName, NoteError } from './lib/signed-note.ts'
import { parsePolicy } from './lib/tlog-policy.ts'
import { StartError } from './start-error.ts'

export type WitnessOptions = {
  /** Folder of the keys and of what was cosigned. */
  readonly folder: string
  /** The witness's name, by which its cosignatures are known for ever. */
  readonly name: string
  /** File of the policy whose `log` lines name the logs that are witnessed. */
  readonly policy: string
  readonly host: string
  readonly port: number
  readonly cert?: string
  readonly key?: string
}

const maxBodyBytes = 65_536

/** `atlas witness`: a witness (C2SP tlog-witness) with a folder of its own; it shares nothing with a server's data. */
export async function startWitness(
  options: WitnessOptions,
): Promise<{ url: string; vkeys: string[]; close: () => Promise<void> }> {
  const { folder, name, host, port } = options
  if (!isKeyName(name)) throw new StartError('The name of a witness has no space, plus sign or control character')
  const logs = readLogs(options.policy)
  const tls = readTls(options)
  const keys = await openWitnessKeys(folder)
  const lock = holdOrRefuse(`${folder}/lock`)
  const store = openWitnessStore(folder)
  const witness = makeWitness({ logs, name, keys, store, now: () => new Date() })
  const origins = logs.map((log) => log.name)
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    void respond(response, () => answer(witness.addCheckpoint, store, origins, request))
  }
  const server = tls ? createHttps({ ...tls, minVersion: 'TLSv1.2' }, handle) : createHttp(handle)
  server.requestTimeout = 30_000
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve))
  const { port: taken } = server.address() as AddressInfo
  return {
    url: `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${taken}`,
    vkeys: vkeysOf(name, keys),
    close: async () => {
      await new Promise((resolve) => {
        server.close(resolve)
        server.closeIdleConnections()
      })
      lock.release()
    },
  }
}

async function respond(response: ServerResponse, run: () => Promise<WitnessAnswer>): Promise<void> {
  // A fault of the disk: it is not cosigned, and the log asks again.
  const failed = (): WitnessAnswer => ({
    status: 500,
    contentType: 'text/plain; charset=utf-8',
    body: 'internal error\n',
  })
  const { status, contentType, body } = await run().catch(failed)
  response.writeHead(status, { 'content-type': contentType, 'x-content-type-options': 'nosniff' }).end(body)
}

async function answer(
  addCheckpoint: (body: Uint8Array) => Promise<WitnessAnswer>,
  store: WitnessStore,
  origins: readonly string[],
  request: IncomingMessage,
): Promise<WitnessAnswer> {
  const text = (status: number, body: string) => ({ status, contentType: 'text/plain; charset=utf-8', body })
  const { method, url = '' } = request
  const [, hex] = /^\/([0-9a-f]{64})\/checkpoint$/.exec(url) ?? []
  if (method === 'GET' && hex !== undefined) {
    const origin = origins.find((one) => hash('sha256', one, 'hex') === hex)
    const stored = origin === undefined ? undefined : await store.read(origin)
    return stored === undefined ? text(404, 'no such log\n') : text(200, stored)
  }
  if (method !== 'POST' || url !== '/add-checkpoint') return text(404, 'not found\n')
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += (chunk as Buffer).length
    if (size > maxBodyBytes) return text(413, 'the body is too large\n')
    chunks.push(chunk as Buffer)
  }
  return addCheckpoint(Buffer.concat(chunks))
}

function readLogs(path: string) {
  try {
    const { logs } = parsePolicy(readFileSync(path, 'utf8'))
    if (logs.length === 0) throw new StartError(`${path} names no log to witness`)
    return logs.map(({ key }) => key)
  } catch (error) {
    if (error instanceof NoteError) throw new StartError(`${path}: ${error.message}`, { cause: error })
    if (error instanceof StartError) throw error
    throw new StartError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`, { cause: error })
  }
}

/** Cosignatures are public, but a proxy in between could keep a log from being witnessed: plain http stays on this machine. */
function readTls({ cert, key, host }: WitnessOptions): { cert: Buffer; key: Buffer } | undefined {
  if (cert !== undefined && key !== undefined) return { cert: readFileSync(cert), key: readFileSync(key) }
  if (isLoopback(host) && cert === key) return undefined
  throw new StartError('A witness on another address than loopback needs --cert and --key')
}

function holdOrRefuse(path: string): { release: () => void } {
  try {
    return holdFolder(path)
  } catch (error) {
    if (!(error instanceof InUse)) throw error
    throw new StartError('Another witness already uses this folder. Stop it first.', { cause: error })
  }
}
