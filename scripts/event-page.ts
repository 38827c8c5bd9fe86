import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CatalogueEntry, catalogue } from '../src/features/audit/catalogue.ts'

// Makes docs/operate/audit-events.md from the catalogue: node scripts/event-page.ts. test/parity.test.ts holds the page against it.

export const page = join(import.meta.dirname, '../docs/operate/audit-events.md')

export function eventPage(): string {
  const rows = Object.entries<CatalogueEntry>(catalogue).map(
    ([code, { title, means, fields }]) =>
      `| \`${code}\` | ${title}. ${means} | ${fields.map((field) => `\`${field}\``).join(', ') || '–'} |`,
  )
  return `# Events of the audit log

<!-- Made by scripts/event-page.ts from src/features/audit/catalogue.ts. Do not edit. -->

Every code that the log can hold. A code never changes its meaning. Each entry has also \`v\`, \`seq\`, \`at\`, \`code\` and, where there is one, \`subject\`,
\`kind\`, \`onBehalfOf\`, \`door\` and \`requestId\` ([audit.md](audit.md)). What is below \`detail\`, names and token ids are sealed, not in the entry.

Every call through the gate leaves \`action.started\` and then \`action.succeeded\` or \`action.failed\`; a refused call leaves \`action.failed\` alone, a
call that needs a yes \`action.asked\`. Not recorded are the paths that say nothing of the estate: \`/livez\`, \`/readyz\`, \`/health\`, the
OpenAPI and problem pages, the OAuth metadata, MCP messages that call nothing, and the log's own checkpoint, key and tiles, which
would grow with every read of them.

| code | what has happened | fields |
|---|---|---|
${rows.join('\n')}
`
}

if (import.meta.main) writeFileSync(page, eventPage())
