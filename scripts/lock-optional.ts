import { readFileSync, writeFileSync } from 'node:fs'

/**
 * npm leaves optional packages of other platforms out of the lockfile when the registry does not carry them, and `npm ci`
 * then calls the lockfile out of sync. This puts an entry with version, os, cpu and libc back for each, so that `npm ci`
 * passes over what is not for this platform.
 */
type Entry = { version?: string; dev?: boolean; optionalDependencies?: Record<string, string>; [key: string]: unknown }
const file = 'package-lock.json'
const lock = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, Entry> }
let added = 0
for (const entry of Object.values(lock.packages))
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const at = `node_modules/${name}`
    const platform = name.split('/').at(-1) ?? name
    const os = /(android|darwin|linux|win32|freebsd|openharmony)/.exec(platform)?.[1]
    const cpu = /(arm64|x64|ia32|arm|ppc64|riscv64|s390x)/.exec(platform)?.[1]
    if (lock.packages[at] || !/^\d/.test(version) || !os || !cpu) continue
    const libc = platform.includes('musl') ? ['musl'] : /-(gnu|gnueabihf)$/.test(platform) ? ['glibc'] : undefined
    lock.packages[at] = {
      version,
      ...(entry.dev && { dev: true }),
      optional: true,
      os: [os],
      cpu: [cpu],
      ...(libc && { libc }),
    }
    added++
  }
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)))
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
process.stdout.write(`${added} entries added to ${file}\n`)
