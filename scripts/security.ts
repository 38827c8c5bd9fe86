import { spawnSync } from 'node:child_process'

/** `npm run security`: secrets in the tree, the lockfile's origins and integrity, and a bill of materials (sbom.json). Each step must pass. */
const steps: { name: string; command: string; args: string[] }[] = [
  { name: 'no secret in the tree', command: 'secretlint', args: ['**/*', '--maskSecrets'] },
  {
    name: 'the lockfile names only the registry, over https, with hashes',
    command: 'lockfile-lint',
    args: [
      '--path',
      'package-lock.json',
      '--type',
      'npm',
      '--validate-https',
      '--allowed-hosts',
      'npm',
      '--empty-hostname',
      'true',
    ],
  },
  {
    name: 'bill of materials in sbom.json (CycloneDX 1.6, production packages)',
    command: 'cyclonedx-npm',
    args: [
      '--omit',
      'dev',
      '--package-lock-only',
      '--spec-version',
      '1.6',
      '--output-reproducible',
      '--output-file',
      'sbom.json',
    ],
  },
]

let failed = 0
for (const { name, command, args } of steps) {
  const { status, error } = spawnSync(process.execPath, [`node_modules/.bin/${command}`, ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const ok = status === 0 && !error
  process.stdout.write(`${ok ? 'ok    ' : 'FAILED'}  ${name}\n`)
  if (!ok) failed++
}
process.exitCode = failed === 0 ? 0 : 1
