import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type ProblemType, problems } from '../../core/problem.ts'
import { pagePolicy } from './headers.ts'
import type { Route } from './route.ts'

/** Where every problem's `type` points: docs/problems.md as a plain page, one heading per type. */
export function problemsRoute(): Route {
  const markdown = readFileSync(new URL('../../../docs/problems.md', import.meta.url), 'utf8')
  const body = problemsHtml(markdown)
  return {
    method: 'GET',
    path: '/docs/problems',
    public: true,
    events: [],
    handle: async ({ reply }) => {
      const nonce = randomBytes(18).toString('base64')
      void reply.header('content-security-policy', pagePolicy(nonce)).type('text/html; charset=utf-8')
      return reply.send(page(body, nonce))
    },
  }
}

/** Sections of docs/problems.md by problem type: the text below `## <type>`, without the heading. */
export function problemSections(markdown: string): ReadonlyMap<string, string> {
  const sections = markdown.split(/^## /m).slice(1)
  return new Map(
    sections.map((section) => [section.split('\n', 1)[0]?.trim() ?? '', section.replace(/^.*\n/, '').trim()]),
  )
}

function problemsHtml(markdown: string): string {
  const sections = problemSections(markdown)
  const types = Object.keys(problems) as ProblemType[]
  return types
    .map((type) => {
      const paragraphs = (sections.get(type) ?? '').split(/\n{2,}/).map((text) => `<p>${inline(text)}</p>`)
      const { status, title } = problems[type]
      return `<section id="${type}"><h2>${type}</h2><p><strong>${status}</strong> ${escapeHtml(title)}</p>${paragraphs.join('\n')}</section>`
    })
    .join('\n')
}

function inline(text: string): string {
  return escapeHtml(text)
    .replaceAll(/`([^`]+)`/g, '<code>$1</code>')
    .replaceAll(/\*\*([^*]+)\*\*/g, '<strong>$1</strong>')
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

function page(body: string, nonce: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Problems – Infrastructure Atlas</title>
<style nonce="${nonce}">:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif } main { max-width: 44rem; margin: auto; padding: 1rem } h2 { font-family: monospace } :target { outline: 3px solid Highlight; outline-offset: .5rem }</style>
</head>
<body><main><h1>Problems</h1>
${body}
</main></body>
</html>
`
}
