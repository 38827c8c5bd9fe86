import { globSync, readFileSync, writeFileSync } from 'node:fs'

/**
 * `node scripts/claims.ts`: puts the tests that name a claim (`claims: A13 C25` in a test's title) into docs/claims.md. Proofs
 * that are documents stay as they were written by hand; a row whose tests are gone says "not yet" again.
 */
const page = 'docs/claims.md'
const mostFiles = 4

const testsOf = new Map<string, Set<string>>()
for (const file of globSync(['src/**/*.test.ts', 'simulators/**/*.test.ts', 'test/**/*.test.ts']).sort())
  for (const [, ids = ''] of readFileSync(file, 'utf8').matchAll(/claims: ?((?:[A-E]\d+[ ,]*)+)/g))
    for (const id of ids.match(/[A-E]\d+/g) ?? []) testsOf.set(id, (testsOf.get(id) ?? new Set()).add(file))

const text = readFileSync(page, 'utf8').replaceAll(
  /^\| ([A-E]\d+) \| (.+?) \| (.+?) \|$/gm,
  (_row, id: string, promise: string, proof: string) => `| ${id} | ${promise} | ${proofOf(id, proof)} |`,
)
writeFileSync(page, text)

function proofOf(id: string, before: string): string {
  const byHand = before === 'not yet' ? [] : before.split(/, (?=`)/).filter((part) => !/\.test\.ts`/.test(part))
  const tests = [...(testsOf.get(id) ?? [])].map((file) => `\`${file}\``)
  const more = tests.length > mostFiles ? [`and ${tests.length - mostFiles} more`] : []
  return (
    [...byHand.map((part) => part.replace(/,? and \d+ more$/, '')), ...tests.slice(0, mostFiles), ...more].join(', ') ||
    'not yet'
  )
}
