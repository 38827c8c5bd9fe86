import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cleanup, Env } from './server.ts'

const places = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib64/softhsm/libsofthsm2.so',
  '/usr/lib64/pkcs11/libsofthsm2.so',
  '/usr/local/lib/softhsm/libsofthsm2.so',
  '/opt/homebrew/lib/softhsm/libsofthsm2.so',
]
export const softHsmModule = places.find((path) => existsSync(path))

/** Why tests with a token cannot run on this machine; false when they can. */
export const noSoftHsm: string | false = reasonToSkip()

function reasonToSkip(): string | false {
  if (softHsmModule === undefined) return 'SoftHSM is not installed (softhsm2)'
  const { error } = spawnSync('pkcs11-tool', ['--help'], { stdio: 'ignore' })
  return error ? 'pkcs11-tool is not installed (opensc)' : false
}

export type SoftHsm = ReturnType<typeof makeSoftHsm>

/** A token in software in a folder of its own, labelled `atlas`, with an AES-256 key `root` that cannot leave it. */
export function makeSoftHsm(t: Cleanup) {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-softhsm-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const tokens = join(folder, 'tokens')
  mkdirSync(tokens)
  writeFileSync(
    join(folder, 'softhsm2.conf'),
    `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`,
  )
  const env: Env = { SOFTHSM2_CONF: join(folder, 'softhsm2.conf') }
  const pin = 'pin-4711-of-this-test'
  const run = (program: string, ...args: string[]) =>
    execFileSync(program, args, {
      env: { ...process.env, ...env },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  const tool = (...args: string[]) =>
    run('pkcs11-tool', '--module', softHsmModule ?? '', '--token-label', 'atlas', '--login', '--pin', pin, ...args)
  run('softhsm2-util', '--init-token', '--free', '--label', 'atlas', '--so-pin', 'so-pin-of-this-test', '--pin', pin)
  const makeKey = (label: string, ...more: string[]) =>
    tool('--keygen', '--key-type', 'aes:32', '--label', label, '--sensitive', ...more)
  makeKey('root')
  return {
    env,
    pin,
    module: softHsmModule ?? '',
    tool,
    makeKey,
    makeShortKey: (label: string) => tool('--keygen', '--key-type', 'aes:16', '--label', label, '--sensitive'),
    /** The token would give it out in the clear. */
    makePlainKey: (label: string) => tool('--keygen', '--key-type', 'aes:32', '--label', label),
    /** A second token beside the first. */
    makeToken: (label: string) =>
      run('softhsm2-util', '--init-token', '--free', '--label', label, '--so-pin', 'so-pin-of-this-test', '--pin', pin),
    remove: () => renameSync(tokens, `${tokens}-away`),
    putBack: () => renameSync(`${tokens}-away`, tokens),
  }
}
