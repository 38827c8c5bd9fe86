import type { IncomingMessage } from 'node:http'
import { Problem } from '../../core/problem.ts'
import { headerValues } from './bearer.ts'

export const bodyLimit = 1_048_576
const maxDepth = 32
const maxKeys = 10_000

/**
 * Reads the request's JSON: `application/json` in UTF-8, at most 1 MiB, 32 levels, 10,000 keys, no prototype names.
 * Undefined when there is no body. Read by the handler itself, after authentication, so a stranger makes us parse nothing.
 */
export async function readJson(raw: IncomingMessage): Promise<unknown> {
  if (!hasBody(raw)) return undefined
  checkContentType(raw)
  const text = decode(await readAll(raw))
  checkShape(text)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's message quotes the input.
    throw new Problem('invalid-input', 'The body is not valid JSON')
  }
  checkNames(value)
  return value
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

function checkContentType(raw: IncomingMessage): void {
  const types = headerValues(raw, 'content-type')
  // Exact on purpose: what one parser takes for JSON and another for a form has been a way around validation before.
  if (types.length !== 1 || !/^application\/json *(; *charset=("utf-8"|utf-8) *)?$/i.test(types[0] ?? ''))
    throw new Problem('unsupported-media-type', 'Send the body as application/json')
  const encoding = raw.headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity')
    throw new Problem('unsupported-media-type', 'Send the body without a content encoding')
}

/** The bytes as they came, at most 1 MiB. */
export async function readAll(raw: IncomingMessage): Promise<Buffer> {
  if (Number(raw.headers['content-length'] ?? 0) > bodyLimit) throw tooLarge()
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of raw) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > bodyLimit) throw tooLarge()
    chunks.push(bytes)
  }
  return Buffer.concat(chunks)
}

function tooLarge(): Problem {
  return new Problem('too-large', `The body is larger than ${bodyLimit} bytes`)
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new Problem('invalid-input', 'The body is not UTF-8')
  }
}

/** Depth and size before `JSON.parse` builds anything. Colons outside strings are keys in valid JSON. */
function checkShape(text: string): void {
  let depth = 0
  let keys = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x22) i = endOfString(text, i)
    else if (code === 0x5b || code === 0x7b) depth++
    else if (code === 0x5d || code === 0x7d) depth--
    else if (code === 0x3a) keys++
    if (depth > maxDepth) throw new Problem('invalid-input', `The body is nested deeper than ${maxDepth} levels`)
    if (keys > maxKeys) throw new Problem('invalid-input', `The body has more than ${maxKeys} keys`)
  }
}

/** The closing quote of the string that opens at `start`, or the end of the text. */
function endOfString(text: string, start: number): number {
  let i = start + 1
  while (i < text.length && text.charCodeAt(i) !== 0x22) i += text.charCodeAt(i) === 0x5c ? 2 : 1
  return i
}

function checkNames(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  const names = Array.isArray(value) ? [] : Object.keys(value)
  if (names.includes('__proto__')) throw new Problem('invalid-input', 'The key __proto__ is not accepted')
  const own: unknown = names.includes('constructor') ? Reflect.get(value, 'constructor') : undefined
  if (typeof own === 'object' && Object.hasOwn(own ?? {}, 'prototype'))
    throw new Problem('invalid-input', 'The key constructor.prototype is not accepted')
  for (const child of Object.values(value)) checkNames(child)
}
