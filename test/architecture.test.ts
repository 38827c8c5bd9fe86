import assert from 'node:assert/strict'
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'
import { connectors } from '../src/connectors/index.ts'

/** Which room may import which. This table is the architecture; ARCHITECTURE.md only explains it. */
const rooms: Record<string, readonly string[]> = {
  core: [],
  lib: ['core'],
  'features/*': ['core', 'lib'],
  'features/connections': ['core', 'lib', 'features/vault', 'features/inventory'],
  'features/upstreams': ['core', 'lib', 'features/vault'],
  connectors: ['core'],
  gate: ['core', 'lib', 'features/*'],
  'doors/*': ['core', 'lib', 'gate', 'features/identity'],
  app: ['core', 'lib', 'features/*', 'gate', 'connectors', 'doors/*'],
}

/** Which npm packages a room may import. A new one needs a line in docs/dependencies.md. */
const packages: Record<string, readonly string[]> = {
  core: ['zod'],
  lib: ['zod', 'kysely', 'better-sqlite3-multiple-ciphers', 'croner', 'pg', 'pino', 'saxes', 'undici'],
  'features/*': ['zod', 'kysely'],
  'features/policy': ['zod', 'kysely', '@cedar-policy/cedar-wasm'],
  'features/connections': ['zod', 'kysely', 'croner'],
  'features/exports': ['zod', 'kysely', 'yazl'],
  connectors: ['zod'],
  gate: [],
  'doors/http': ['fastify', 'zod'],
  'doors/mcp': ['@modelcontextprotocol/server', '@modelcontextprotocol/client', 'zod'],
  'doors/schedule': ['croner'],
  'doors/cli': ['commander'],
  app: ['zod'],
}

const grouped = ['features', 'doors', 'connectors']
const files = globSync('src/**/*.ts').filter(
  (file) => !file.endsWith('.test.ts') && !file.endsWith('.d.ts') && !file.startsWith('src/testing/'),
)
const source = new Map(files.map((file) => [file, readFileSync(file, 'utf8')]))
const imports = [...source].flatMap(([from, text]) =>
  [...text.matchAll(/(?:\bfrom\s+|\bimport\s*\(\s*|\bimport\s+)['"]([^'"]+)['"]/g)].map((match) => ({
    from,
    what: match[1] ?? '',
  })),
)
const edges = imports
  .filter(({ what }) => what.startsWith('.'))
  .map(({ from, what }) => ({ from, to: normalize(join(dirname(from), what)) }))

function room(file: string): string {
  const [, first = '', second = ''] = file.split('/')
  if (first.endsWith('.ts')) return 'app'
  return grouped.includes(first) && second !== '' && !second.endsWith('.ts') ? `${first}/${second}` : first
}

/** The most exact row of a table for a room. */
function row(table: Record<string, readonly string[]>, of: string): readonly string[] {
  return table[of] ?? table[`${of.split('/')[0]}/*`] ?? table[of.split('/')[0] ?? ''] ?? []
}

function mayImport(from: string, to: string): boolean {
  if (from === to) return true
  if (from === 'connectors' && to.startsWith('connectors/')) return true
  return row(rooms, from).some((rule) => rule === to || (rule.endsWith('/*') && to.startsWith(rule.slice(0, -1))))
}

/** `file:line: text` for each line that matches, so that a failure names the place. */
function lines(pattern: RegExp, only: (file: string) => boolean = () => true): string[] {
  return [...source]
    .filter(([file]) => only(file))
    .flatMap(([file, text]) =>
      text
        .split('\n')
        .flatMap((line, i) =>
          pattern.test(line) && !/^\s*(\/\/|\*|\/\*)/.test(line) ? [`${file}:${i + 1}: ${line.trim()}`] : [],
        ),
    )
}

test('a room imports only the rooms in its row', () => {
  assert.deepEqual(
    edges.filter(({ from, to }) => !mayImport(room(from), room(to))).map(({ from, to }) => `${from} imports ${to}`),
    [],
  )
})

test('a room imports only the npm packages in its row', () => {
  const foreign = imports.filter(({ what }) => !what.startsWith('.') && !what.startsWith('node:'))
  const nameOf = (what: string) =>
    what
      .split('/')
      .slice(0, what.startsWith('@') ? 2 : 1)
      .join('/')
  assert.deepEqual(
    foreign
      .filter(({ from, what }) => !row(packages, room(from)).includes(nameOf(what)))
      .map(({ from, what }) => `${from} imports ${what}`),
    [],
  )
})

test('nothing in src imports a simulator, a test or a benchmark', () => {
  assert.deepEqual(
    edges
      .filter(({ to }) => !to.startsWith('src/') || to.startsWith('src/testing/'))
      .map(({ from, to }) => `${from} imports ${to}`),
    [],
  )
})

test('only the gate opens an action', () => {
  assert.deepEqual(
    lines(/\bhandlerOf\b/)
      .map((line) => line.split(':')[0])
      .filter((file) => file !== 'src/gate/invoke.ts' && file !== 'src/core/action.ts'),
    [],
  )
})

test('no import is computed', () => {
  assert.deepEqual(lines(/\bimport\((?!\s*['"])|\bcreateRequire\b|(?<![.\w])require\(/), [])
})

test('connectors reach the world only through their context', () => {
  const direct = lines(
    /(?<![.\w])fetch\(|['"](?:node:)?(?:https?|http2|net|tls|dns|dgram|child_process|worker_threads|fs|os|process)(?:\/promises)?['"]|['"]undici['"]|\bprocess\./,
    (file) => file.startsWith('src/connectors/'),
  )
  assert.deepEqual(direct, [])
})

test('every connector folder is registered, and has its README, test and fixtures', () => {
  const folders = readdirSync('src/connectors', { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
  assert.deepEqual(connectors.map(({ id }) => id).sort(), folders.sort())
  const missing = folders
    .flatMap((folder) =>
      ['index.ts', 'README.md', `${folder}.test.ts`, 'fixtures'].map((name) => `src/connectors/${folder}/${name}`),
    )
    .filter((path) => !existsSync(path))
  assert.deepEqual(missing, [])
})

test('every connector README has the fixed headings', () => {
  const headings = [
    'What it reads',
    'What it can change',
    'Create the account (least privilege)',
    'Settings',
    'Versions tested',
    'Known limits',
    'API links',
  ]
  for (const { id } of connectors) {
    const text = readFileSync(`src/connectors/${id}/README.md`, 'utf8')
    assert.deepEqual(
      [...text.matchAll(/^## (.+)$/gm)].map((match) => match[1]),
      headings,
      id,
    )
  }
})

test('only a store, or lib/db, speaks Kysely', () => {
  const users = imports.filter(({ what }) => what === 'kysely').map(({ from }) => from)
  assert.deepEqual(
    users.filter((file) => !file.startsWith('src/lib/db/') && !/\/store(-[a-z]+)?\.ts$/.test(file)),
    [],
  )
})

test('a secret is revealed only while signing in, in the vault, or where the process starts', () => {
  const elsewhere = lines(/\.reveal\(/).filter(
    (line) =>
      !/authenticate/.test(line) &&
      // Out of one store and into the other; the shell's own memory.
      !line.startsWith('src/doors/cli/commands/vault.ts') &&
      // Shown to the connector's own schema before it is stored.
      !line.startsWith('src/features/connections/credential.ts') &&
      // Who is to be forgotten is hidden from the record of the call, and then looked for.
      !line.startsWith('src/features/audit/actions-forget.ts') &&
      // Where the copies of the audit log go: signing a webhook, showing a certificate.
      !/^src\/features\/audit\/sinks\/(webhook|syslog)\.ts/.test(line) &&
      !/^src\/(features\/(vault|identity)\/|(main|app|config-sinks|start|storage|rekey|root-key-source|metrics|local-state)\.ts|core\/secret\.ts|lib\/(http-connect|sigv4)\.ts|connectors\/[a-z-]+\/(index|authenticate)\.ts)/.test(
        line,
      ),
  )
  assert.deepEqual(elsewhere, [])
})

test('no vendor is named outside its folder and the list', () => {
  const vendors = new RegExp(connectors.map(({ id }) => id).join('|'), 'i')
  const elsewhere = lines(vendors, (file) => !file.startsWith('src/connectors/'))
  // The command line teaches with examples, and an example needs a name.
  assert.deepEqual(
    elsewhere.filter((line) => !line.startsWith('src/doors/cli/')),
    [],
  )
})

test('the UI imports only types from the server', () => {
  const bad = globSync('web/src/**/*.{ts,tsx}')
    .flatMap((file) => readFileSync(file, 'utf8').split('\n'))
    .filter((line) => line.includes('/../src/') && !line.startsWith('import type '))
  assert.deepEqual(bad, [])
})

test('nothing is evaluated, no shell is used, no certificate check is switched off', () => {
  const banned =
    /\beval\(|\bnew Function\b|['"](?:node:)?vm['"]|\bexecSync\b|(?<![.\w])exec\(|shell:\s*true|rejectUnauthorized:\s*false|NODE_TLS_REJECT_UNAUTHORIZED['"]?\]?\s+=[^=]/
  assert.deepEqual(lines(banned), [])
})

test('random values for security come from node:crypto', () => {
  assert.deepEqual(lines(/Math\.random\(/), [])
})

test('every decipher says how long its tag is', () => {
  assert.deepEqual(
    lines(/createDecipheriv\(/).filter((line) => !line.includes('authTagLength') && !line.includes("'aes-128-cbc'")),
    [],
  )
})

test('the environment is read in config.ts, main.ts and the command line only', () => {
  assert.deepEqual(
    lines(/process\.env\b/).filter((line) => !/^src\/(config|main)\.ts|^src\/doors\/cli\//.test(line)),
    [],
  )
})

test('no file is longer than 500 lines', () => {
  const long = [...source].filter(([, text]) => text.split('\n').length > 500).map(([file]) => file)
  assert.deepEqual(long, [])
})

test('the offline verifier stands alone', () => {
  const verifier = ['src/features/audit/verify.ts', 'src/features/audit/verify-note.ts']
  assert.deepEqual(
    imports.filter(
      ({ from, what }) => verifier.includes(from) && !what.startsWith('node:') && what !== './verify-note.ts',
    ),
    [],
  )
})
