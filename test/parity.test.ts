import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { eventPage, page } from '../scripts/event-page.ts'
import { items, proofs, proofsPage, proofsText } from '../scripts/proofs.ts'
import { problems } from '../src/core/problem.ts'
import { roles } from '../src/features/identity/roles.ts'

// Every list in the documents is compared with what it lists.

type Manifest = {
  dependencies: Record<string, string>
  devDependencies: Record<string, string>
  scripts: Record<string, string>
}
const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest
const read = (path: string) => readFileSync(path, 'utf8')
const matches = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1] ?? '')

test('docs/problems.md explains each problem type, and no other', () => {
  assert.deepEqual(matches(read('docs/problems.md'), /^## ([a-z-]+)$/gm).sort(), Object.keys(problems).sort())
})

test('docs/operate/audit-events.md is what the catalogue says (make it with: node scripts/event-page.ts)', () => {
  assert.equal(readFileSync(page, 'utf8'), eventPage())
})

test('docs/security-tests.md names the tests of each security requirement (make it with: node scripts/proofs.ts)', () => {
  assert.deepEqual(
    [...proofs().keys()].filter((id) => !(id in items)),
    [],
  )
  assert.equal(read(proofsPage), proofsText())
})

test('docs/dependencies.md gives the reason of each direct dependency', () => {
  const [production = '', development = ''] = read('docs/dependencies.md').split('## Development')
  assert.deepEqual(matches(production, /^\| `([^`]+)`/gm).sort(), Object.keys(manifest.dependencies).sort())
  assert.deepEqual(matches(development, /^\| `([^`]+)`/gm).sort(), Object.keys(manifest.devDependencies).sort())
})

test('versions are exact', () => {
  const loose = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).filter(
    ([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version),
  )
  assert.deepEqual(loose, [])
})

test('the production tree is no larger than docs/dependencies.md says', () => {
  type Entry = { dependencies?: Record<string, string> }
  const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, Entry> }
  const seen = new Set<string>()
  const walk = (name: string): void => {
    const entry = packages[`node_modules/${name}`]
    if (!entry || seen.has(name)) return
    seen.add(name)
    for (const next of Object.keys(entry.dependencies ?? {})) walk(next)
  }
  for (const name of Object.keys(manifest.dependencies)) if (!name.startsWith('@modelcontextprotocol/')) walk(name)
  assert.ok(seen.size <= 71, `${seen.size} packages`)
})

test('the README speaks of scripts that exist', () => {
  for (const file of ['README.md', 'CONTRIBUTING.md']) {
    const named = matches(read(file), /npm run ([a-z:]+)/g)
    assert.deepEqual(
      named.filter((name) => !(name in manifest.scripts)),
      [],
      file,
    )
  }
})

test('the roles table in docs/operate/policy.md has every role', () => {
  const page = read('docs/operate/policy.md')
  const [head = ''] = page.split('\n').filter((line) => line.startsWith('| action |'))
  assert.deepEqual(
    Object.keys(roles).filter((role) => !head.includes(` ${role} `)),
    [],
  )
})

test('a claim that a test names is not "not yet" in docs/claims.md', () => {
  const open = [...read('docs/claims.md').matchAll(/^\| ([A-E]\d+) \| .+ \| not yet \|$/gm)].map((row) => row[1])
  const named = globSync(['src/**/*.test.ts', 'simulators/**/*.test.ts', 'test/**/*.test.ts'])
    .filter((file) => !file.endsWith('parity.test.ts'))
    .flatMap((file) => matches(read(file), /claims: ?((?:[A-E]\d+[ ,]*)+)/g))
    .flatMap((ids) => ids.match(/[A-E]\d+/g) ?? [])
  assert.deepEqual(
    [...new Set(named)].filter((id) => open.includes(id)),
    [],
    'run: node scripts/claims.ts',
  )
})

test('docs/claims.md has a row for each of the 258 claims, and each test it names exists', () => {
  const rows = [...read('docs/claims.md').matchAll(/^\| ([A-E]\d+) \| (.+?) \| (.+?) \|$/gm)]
  const ids = rows.map((row) => row[1])
  const wanted = [...series('A', 51), ...series('B', 52), ...series('C', 55), ...series('D', 45), ...series('E', 55)]
  assert.deepEqual(ids, wanted)
  const files = rows.flatMap((row) =>
    matches(row[3] ?? '', /`((?:src|test|docs|scripts|simulators)\/[^`]+|[A-Z]+\.md|\.[a-z.]+)`/g),
  )
  assert.deepEqual(
    [...new Set(files)].filter((file) => globSync(file).length === 0),
    [],
  )
})

test('a link in the documents leads to a file that exists', () => {
  const broken = [
    'README.md',
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
    ...globSync('docs/**/*.md'),
  ].flatMap((file) => {
    const folder = file.includes('/') ? file.slice(0, file.lastIndexOf('/') + 1) : ''
    return matches(read(file), /\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)
      .filter((link) => globSync(folder + link).length === 0 && globSync(link.replace(/^\//, '')).length === 0)
      .map((link) => `${file}: ${link}`)
  })
  assert.deepEqual(broken, [])
})

function series(letter: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${letter}${i + 1}`)
}
