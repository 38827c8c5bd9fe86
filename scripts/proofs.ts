import { globSync, readFileSync, writeFileSync } from 'node:fs'

/**
 * `node scripts/proofs.ts`: makes docs/security-tests.md, where an auditor finds the tests of each security requirement. The
 * requirements are here; what proves them is read from the titles of the tests (`… (SEC-ENC-1, claims: A13)`).
 */
export const proofsPage = 'docs/security-tests.md'

type Item = {
  /** What has to hold for the item to pass. */
  readonly pass: string
  /** What the tests do not show, and why. */
  readonly limits?: string
}

export const items: Readonly<Record<string, Item>> = {
  'SEC-ENC-1': {
    pass: 'A sealed value that is copied to another secret, another owner or another version, and a key-encryption key in another row, does not open: the read fails with `integrity`, an event is recorded, and it is counted.',
  },
  'SEC-ENC-2': {
    pass: 'Any one byte of a sealed value changed: it does not open, and nothing of the plaintext is given out.',
  },
  'SEC-ENC-3': { pass: 'A tag cut to 4, 8 or 12 bytes is refused.' },
  'SEC-ENC-4': {
    pass: '200 planted values are in no dump of the database, no file, log, tile, export, heap snapshot or core dump, in no encoding.',
    limits:
      'an image of the whole memory, as a tracer with the rights of the process takes it: freed memory keeps what it held until it is used again (docs/operate/keys.md).',
  },
  'SEC-ENC-5': {
    pass: 'Keys are rotated and values rewrapped under 200 requests per second with no failed request. A kill at 50 random points of rewrapping and of changing the root key always leaves everything readable. The old key is refused afterwards.',
  },
  'SEC-ENC-6': {
    pass: 'A million encryptions use no nonce twice under one key. The counter forces the next key at the configured limit.',
  },
  'SEC-ENC-7': {
    pass: 'Without the root key only health and unsealing answer; everything else is 503, and no secret is read.',
  },
  'SEC-ENC-8': {
    pass: 'The published Fernet vectors hold, a store made by another implementation is imported whole, and a wrong key names every row and ends with 2.',
  },
  'SEC-ENC-9': {
    pass: 'A root key in a hardware token cannot be taken out of it; a restart works; without the token the server is sealed.',
  },
  'SEC-ENC-10': {
    pass: 'A known secret in a request, a tool call, a result, an error with its cause and stack, an error of the database or an answer of a connected system is in no log line, audit record, HTTP answer, tool result or export, in no encoding.',
  },
  'AUD-1': {
    pass: 'With a log that cannot be written (read-only, full disk, killed database) nothing changes without its entry and no secret leaves. 10,000 random faults: no exception.',
  },
  'AUD-2': {
    pass: 'After an edit, a removal, a change of order, a cut tail, an old tile, another signature or a database of yesterday, `atlas audit verify` ends with another code than 0 and names the first bad entry; a witness answers a rolled back log with 409.',
  },
  'AUD-3': { pass: 'A verifier written by somebody else, from the specification, accepts the log.' },
  'AUD-4': {
    pass: 'Every route, MCP method and tool as every role leaves exactly the events that it declares. What declares none does not build.',
  },
  'AUD-5': {
    pass: 'After a person was forgotten, nothing of them is in tiles, database and later backups, and all proofs still verify.',
  },
  'AUD-6': {
    pass: 'Line ends, U+2028, terminal sequences and lines that look like signatures, in every field that a user can fill, move no boundary of an entry, a checkpoint or a log line.',
  },
  'AUD-7': { pass: 'At least 2,000 durable events a second, measured (docs/performance.md).' },
  'AUD-8': { pass: 'An exported event with its `.tlog-proof` verifies on a machine without a network.' },
}

/** The titles of the tests that name an item, per item and file. */
export function proofs(): Map<string, Map<string, string[]>> {
  const found = new Map<string, Map<string, string[]>>()
  for (const file of globSync(['src/**/*.test.ts', 'simulators/**/*.test.ts', 'test/**/*.test.ts']).sort())
    for (const title of titlesIn(readFileSync(file, 'utf8')))
      for (const [id] of title.matchAll(/\b(?:SEC-ENC|AUD)-\d+\b/g)) {
        const files = found.get(id) ?? new Map<string, string[]>()
        found.set(id, files.set(file, [...(files.get(file) ?? []), title]))
      }
  return found
}

/** The first argument of each call of a test function, where it is a text. */
function titlesIn(source: string): string[] {
  const calls = source.matchAll(/\b(?:test|testOnEach|testHere)\(\s*(?:'((?:[^'\\\n]|\\.)*)'|`((?:[^`\\]|\\.)*)`)/g)
  return [...calls].map(([, plain, template]) => (plain ?? template ?? '').replaceAll(/\$\{[^}]*\}/g, '…'))
}

export function proofsText(): string {
  const found = proofs()
  const sections = Object.entries(items).map(([id, { pass, limits }]) => {
    const files = [...(found.get(id) ?? [])].map(
      ([file, titles]) => `- \`${file}\`\n${titles.map((title) => `  - ${plain(title)}`).join('\n')}`,
    )
    const proof = files.length > 0 ? files.join('\n') : '- not yet'
    return `## ${id}\n\n${pass}\n\n${limits === undefined ? '' : `Not shown: ${limits}\n\n`}${proof}\n`
  })
  return `${head}\n${sections.join('\n')}`
}

/** Without the brackets of names at its end, which the section and docs/claims.md say. */
function plain(title: string): string {
  return title.replace(/ \((?=[^()]*\b(?:SEC-ENC|AUD)-\d)[^()]*\)$/, '')
}

const head = `# Tests of the security requirements

What each requirement asks, and the tests that show it. Tests of rooms that have a database run on SQLite and on PostgreSQL; so do
those of the whole program where the title says it. Made from the titles of the tests by \`node scripts/proofs.ts\`, and compared in every test run.

Run one of them: \`node scripts/test.ts <file>\`. Ten thousand random faults: \`npm run test:faults\`.
`

if (import.meta.main) writeFileSync(proofsPage, proofsText())
