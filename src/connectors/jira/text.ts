import { z } from 'zod'

/** Atlassian Document Format: a tree of nodes, of which only texts and line ends matter here. */
type Node = {
  type?: string | null | undefined
  text?: string | null | undefined
  attrs?: Attributes
  content?: Node[] | null | undefined
}
type Attributes = { text?: string | null | undefined; url?: string | null | undefined } | null | undefined

const word = z.string().nullish().catch(null)
const Node: z.ZodType<Node> = z.object({
  type: word,
  text: word,
  attrs: z.object({ text: word, url: word }).nullish().catch(null),
  get content() {
    return z.array(Node).nullish().catch(null)
  },
})

const lines = new Set(['paragraph', 'heading', 'listItem', 'tableRow', 'codeBlock', 'blockquote', 'hardBreak', 'rule'])
const deepest = 100

/** The words of a rich text: ADF on Cloud, wiki markup (as it is) on Data Center. */
export function plainText(value: unknown): string {
  if (typeof value === 'string') return value.trim()
  if (depthOf(value) > deepest) return ''
  const root = Node.safeParse(value).data
  return root
    ? textOf(root)
        .replaceAll(/\n{3,}/g, '\n\n')
        .trim()
    : ''
}

function textOf({ type, text, attrs, content }: Node): string {
  const own = text ?? attrs?.text ?? attrs?.url ?? ''
  const inner = (content ?? []).map(textOf).join(type === 'tableRow' ? '\t' : '')
  return `${own}${inner}${lines.has(type ?? '') ? '\n' : ''}`
}

/** Levels of nesting, counted without recursion: a text from outside must not exhaust the stack. */
function depthOf(value: unknown): number {
  let level: unknown[] = [value]
  let depth = 0
  while (level.length > 0 && depth <= deepest) {
    level = level.flatMap((one) => (typeof one === 'object' && one !== null ? Object.values(one) : []))
    depth++
  }
  return depth
}

/** Plain text as ADF: nothing in it is markup, a mention or a link. */
export function toAdf(text: string) {
  const content = text.split(/\r\n?|\n/).map((line) => ({
    type: 'paragraph',
    // A text node must not be empty.
    content: line === '' ? [] : [{ type: 'text', text: line }],
  }))
  return { type: 'doc', version: 1, content }
}

/** Plain text as wiki markup, in which macros, links, mentions and images would be active. */
export function toWiki(text: string): string {
  return text.replaceAll(/[{}[\]!]/g, '\\$&')
}
