#!/usr/bin/env node
// Starts src/main.ts on a Node that can run TypeScript: this one, or the one that `npm ci` pinned.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const pinned = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url))

if (major > 24 || (major === 24 && minor >= 12)) {
  await import('../src/main.ts')
} else if (existsSync(pinned)) {
  const child = spawn(pinned, [main, ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  child.on('close', (code) => {
    process.exitCode = code ?? 1
  })
} else {
  process.stderr.write(
    `atlas needs Node 24.12 or newer; this is ${process.versions.node}. Run npm ci in its folder first.\n`,
  )
  process.exitCode = 2
}
