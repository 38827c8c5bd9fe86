import type { CallToolResult, Tool } from '@modelcontextprotocol/server'
import type { Action } from '../../core/action.ts'
import { type Problem, problemJson } from '../../core/problem.ts'
import { isSchema, jsonSchemaOf } from '../../lib/json-schema.ts'

/**
 * Whether an action is a tool at all. What reveals, takes or issues a secret is not: a secret's value never enters a model's
 * context, in either direction. Such fields say `format: password` in the schema.
 */
export function isTool({ access, input, output }: Action): boolean {
  const schemas = JSON.stringify([jsonSchemaOf(input, 'input'), jsonSchemaOf(output, 'output')])
  return access !== 'reveal' && !schemas.includes('"format":"password"')
}

/** What agents call an action. */
export function toolName({ name, tool }: Pick<Action, 'name' | 'tool'>): string {
  return tool ?? name
}

/**
 * The MCP tool of an action. Annotations follow from `access`, so nobody can describe a destroying action as harmless.
 */
export function toolOf(action: Action): Tool {
  const { title, description, access, http } = action
  const isRead = access === 'read'
  const output = jsonSchemaOf(action.output, 'output')
  return {
    name: toolName(action),
    title,
    description,
    // Both revisions want an object at the root, also above a union of objects.
    inputSchema: { ...jsonSchemaOf(action.input, 'input'), type: 'object' },
    ...(output['type'] === 'object' && { outputSchema: { ...output, type: 'object' as const } }),
    annotations: {
      title,
      readOnlyHint: isRead,
      destructiveHint: access === 'destroy',
      idempotentHint: isRead || http.method === 'PUT' || http.method === 'DELETE',
      // Actions below one connection reach the system behind it; the others stay inside Atlas.
      openWorldHint: http.path.startsWith('/connections/{connection}/'),
    },
  }
}

/** The whole output, twice as the protocol asks: structured, and as text for clients that read only text. */
export function outputResult(output: unknown): CallToolResult {
  const structuredContent = isSchema(output) ? output : { result: output }
  return { content: [{ type: 'text', text: JSON.stringify(output ?? null) }], structuredContent }
}

/** A denial, a limit, bad arguments: told to the model, which can read why and do something else. */
export function problemResult(problem: Problem, requestId: string): CallToolResult {
  const structuredContent = problemJson(problem, requestId)
  return { isError: true, content: [{ type: 'text', text: JSON.stringify(structuredContent) }], structuredContent }
}

/** Marked as an error because nothing was done: the result is not what the output schema promises. */
export function pendingResult(approval: string): CallToolResult {
  const text = `Nothing was done yet. This call needs the approval of another person: ${approval}. Tell the user. After it is approved, call this tool again with exactly the same arguments; it then runs once. Do not change the arguments and do not repeat the call before.`
  return { isError: true, content: [{ type: 'text', text }], structuredContent: { pending: approval, detail: text } }
}
