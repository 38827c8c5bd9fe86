import { type KeyObject, randomInt } from 'node:crypto'
import { existsSync } from 'node:fs'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from './config.ts'
import { sealPath } from './config-seals.ts'
import { checkRootKey } from './features/vault/keyring.ts'
import { SealError, type SealReason } from './features/vault/seals/seal.ts'
import { UnknownKey } from './lib/db/database.ts'
import { keyOf, parseShare, type RecoveryShare } from './recovery.ts'
import { sharesSource } from './root-key-source.ts'
import { asStartError, type SealedSource, sealedSource } from './sealed-source.ts'
import { StartError } from './start-error.ts'
import { filePath, keyPath, type Opening, openDatabase, prepareDataDirectory, say } from './storage.ts'

const longest = 1024
const firstWaitMs = 1_000
const longestWaitMs = 60_000
/** Kits that are gathered at the same time: a stranger's made-up shares must neither fill the memory nor hinder the right ones. */
const mostKits = 64

type Tls = { readonly cert: string; readonly key: string }
/** Why the provider does not give the key, where one is asked. */
type State = { seal: SealReason | undefined }
type Take = (line: string) => Promise<Verdict>
type Verdict = { readonly status: number; readonly body: object; readonly key?: KeyObject }

/** The root key of a server that does not find it in the clear, when it has one; undefined where it is configured in the clear. */
export async function unseal(config: Config, tls: Tls | undefined): Promise<Opening | undefined> {
  if (config.ATLAS_SEALED) return unsealByPeople(config, tls)
  const source = sealedSource(config)
  if (!source) return undefined
  const ask = askProvider(config, source)
  try {
    return await ask()
  } catch (error) {
    if (!(error instanceof SealError)) throw asStartError(error)
    return waitSealed(config, tls, { ask, first: error })
  }
}

/** `ATLAS_SEALED`: enough people each give a share, and the database is not read before a whole key is there. */
function unsealByPeople(config: Config, tls: Tls | undefined): Promise<Opening> {
  prepareDataDirectory(config.ATLAS_DATA_DIR)
  if (existsSync(keyPath(config)))
    throw new StartError(`ATLAS_SEALED is set, but ${keyPath(config)} holds the root key. Move it away first.`)
  if (!config.ATLAS_DATABASE_URL && !existsSync(filePath(config)))
    throw new StartError(
      'ATLAS_SEALED is set, but there is no database yet. Start once without it and make a recovery kit.',
    )
  return waitSealed(config, tls)
}

/** One try to get the root key from the provider; draws one where there is no data. */
export function askProvider(config: Config, source: SealedSource): () => Promise<Opening> {
  prepareDataDirectory(config.ATLAS_DATA_DIR)
  const path = sealPath(config)
  if (config.ATLAS_SECRET_KEY)
    throw new StartError('ATLAS_SEAL gives the root key, so ATLAS_SECRET_KEY must not be set')
  if (!existsSync(path) && existsSync(keyPath(config)))
    throw new StartError('ATLAS_SEAL is set, but the root key is not wrapped yet. Run: atlas vault seal')
  if (!existsSync(path) && !config.ATLAS_DATABASE_URL && existsSync(filePath(config)))
    throw new StartError(
      `unknown key: there is a database but no ${path}. Bring it back, or recover the root key from its kit and run: atlas vault seal. Nothing was changed.`,
    )
  return async () =>
    existsSync(path)
      ? { rootKey: await source.read(), source, isNew: false }
      : { rootKey: await source.create(), source, isNew: true }
}

type Provider = { readonly ask: () => Promise<Opening>; readonly first: SealError }

/**
 * Waits, sealed, until enough shares are given, or until the provider, which is asked again and again, gives the key. Only health and
 * `POST /api/v1/unseal` answer; everything else is 503.
 */
function waitSealed(config: Config, tls: Tls | undefined, provider?: Provider): Promise<Opening> {
  const take = makeGathering((key) => opens(config, key))
  const state: State = { seal: provider?.first.reason }
  const over = new AbortController()
  return new Promise((resolve, reject) => {
    const open = (unsealed: Opening): void => {
      over.abort()
      server.close(() => resolve(unsealed)).closeAllConnections()
    }
    const listener: RequestListener = (request, response) => {
      answer(request, take, state).then(
        ({ status, body, key }) => {
          // First the answer is out, then the port is free for what starts now.
          const sent = () => key && open({ rootKey: key, source: sharesSource(key), isNew: false })
          send(response, status, body, sent)
        },
        // Whatever it was, it is not the caller's; the next try may find the database again.
        () => send(response, 500, problem('internal', 'Internal error', 500)),
      )
    }
    const server = tls ? createTlsServer({ ...tls, minVersion: 'TLSv1.2' }, listener) : createServer(listener)
    server.requestTimeout = 10_000
    server.on('error', ({ code }: NodeJS.ErrnoException) => {
      over.abort()
      reject(new StartError(`Cannot listen on ${config.ATLAS_HOST}:${config.ATLAS_PORT} (${code})`))
    })
    server.listen(config.ATLAS_PORT, config.ATLAS_HOST, () => {
      const { port } = server.address() as AddressInfo
      say(
        `Infrastructure Atlas is sealed at ${tls ? 'https' : 'http'}://${config.ATLAS_HOST}:${port}. Unseal it with: atlas vault unseal`,
      )
      if (provider) askAgain(provider, state, over.signal).then((unsealed) => unsealed && open(unsealed), fail)
    })
    const fail = (error: unknown): void => {
      server.close(() => reject(asStartError(error))).closeAllConnections()
    }
  })
}

const pinWords =
  'It is not asked again, because each wrong PIN brings the token nearer to locking itself. Correct the PIN and start again, or give shares of a recovery kit.'

const isFinal = ({ reason }: SealError): boolean => reason === 'wrong-pin'

/** Asks until the provider gives the key or somebody else did. Says each new reason once. */
async function askAgain({ ask, first }: Provider, state: State, signal: AbortSignal): Promise<Opening | undefined> {
  let last: SealError = first
  if (isFinal(first)) {
    say(`${first.message}. ${pinWords}`)
    return undefined
  }
  say(`${last.message}. It is asked again until it gives the root key; shares of a recovery kit open this server too.`)
  for (let waitMs = firstWaitMs; !signal.aborted; waitMs = Math.min(waitMs * 2, longestWaitMs)) {
    // Several servers that lost the same provider do not come back to it in step.
    const jitter = 0.75 + randomInt(500) / 1000
    await sleep(waitMs * jitter, undefined, { signal }).catch(() => {})
    if (signal.aborted) return undefined
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof SealError)) throw error
      if (error.reason !== last.reason) say(`${error.message}. ${isFinal(error) ? pinWords : 'It is asked again.'}`)
      last = error
      state.seal = error.reason
      if (isFinal(error)) return undefined
    }
  }
  return undefined
}

/** Gathers shares by kit. What gives a key that opens nothing is forgotten. */
export function makeGathering(opensData: (key: KeyObject) => Promise<boolean>) {
  const kits = new Map<string, Map<number, RecoveryShare>>()
  return async function take(line: string): Promise<Verdict> {
    const share = parseShare(line)
    if (!share) return { status: 400, body: problem('invalid-input', 'Not a share of a recovery kit', 400) }
    const id = `${share.fingerprint} ${share.threshold}`
    const kit = kits.get(id) ?? new Map<number, RecoveryShare>()
    kit.set(share.share.x, share)
    kits.delete(id)
    kits.set(id, kit) // the kit that was used last is dropped last
    const [oldest] = kits.size > mostKits ? kits.keys() : []
    if (oldest !== undefined) kits.delete(oldest)
    const missing = share.threshold - kit.size
    if (missing > 0) return { status: 200, body: { sealed: true, missing } }
    kits.delete(id)
    const key = keyOf([...kit.values()])
    if (key && (await opensData(key))) return { status: 200, body: { sealed: false, missing: 0 }, key }
    return {
      status: 409,
      body: problem('conflict', 'The shares do not give the root key of this data; begin anew', 409),
    }
  }
}

async function answer(request: IncomingMessage, take: Take, { seal }: State): Promise<Verdict> {
  const path = (request.url ?? '').split('?', 1)[0]
  if (request.method === 'GET' && path === '/livez') return { status: 200, body: { live: true } }
  if (request.method === 'GET' && (path === '/readyz' || path === '/health'))
    return { status: 503, body: { ready: false, notReady: { vault: 'sealed', ...(seal !== undefined && { seal }) } } }
  if (request.method !== 'POST' || path !== '/api/v1/unseal')
    return { status: 503, body: problem('sealed', 'Sealed', 503) }
  // A page elsewhere cannot send this type without asking first.
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? ''))
    return { status: 415, body: problem('invalid-input', 'Send application/json', 415) }
  const share = await readShare(request)
  return share === undefined ? { status: 400, body: problem('invalid-input', 'Send {"share": "…"}', 400) } : take(share)
}

async function readShare(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request) {
    length += (chunk as Buffer).length
    if (length > longest) return undefined
    chunks.push(chunk as Buffer)
  }
  try {
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as { share?: unknown } | null
    return typeof body?.share === 'string' ? body.share : undefined
  } catch {
    return undefined
  }
}

function send(response: ServerResponse, status: number, body: object, sent: () => void = () => {}): void {
  response
    .writeHead(status, {
      'content-type': 'title' in body ? 'application/problem+json' : 'application/json',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      connection: 'close',
      ...(status === 503 && { 'retry-after': '30' }),
    })
    .end(JSON.stringify(body), sent)
}

function problem(type: string, title: string, status: number): object {
  return { type, title, status }
}

/** Whether there is data that hangs on this key. Where there is none yet, shares that a stranger made up would open it. */
async function opens(config: Config, key: KeyObject): Promise<boolean> {
  if (!config.ATLAS_DATABASE_URL && !existsSync(filePath(config))) return false
  try {
    const database = openDatabase(config, key)
    try {
      return await checkRootKey(database, key)
    } finally {
      await database.close()
    }
  } catch (error) {
    if (error instanceof UnknownKey || (error as Error).cause instanceof UnknownKey) return false
    throw error
  }
}
