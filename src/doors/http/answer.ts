import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Problem, problemJson, toProblem } from '../../core/problem.ts'
import { newId } from '../../lib/ids.ts'
import { protect } from './guard.ts'
import { securityHeaders } from './headers.ts'
import type { HttpDoorParts } from './parts.ts'

/** Answers any failure as `application/problem+json` (RFC 9457). What is not a `Problem` is logged and shown as `internal`. */
export function sendProblem(
  { log }: Pick<HttpDoorParts, 'log'>,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const problem = problemOf(error)
  // The gate reports its own faults; here are only those of the door.
  if (problem.type === 'internal' && !(error instanceof Problem))
    log.error({ requestId: request.id, route: request.routeOptions.url, err: error }, 'a request failed')
  protect(request, reply)
  const { retryAfterSeconds: wait } = problem
  if (wait !== undefined) void reply.header('retry-after', String(Math.ceil(wait)))
  if (wait !== undefined && problem.type === 'rate-limited')
    void reply.header('ratelimit', `"default";r=0;t=${Math.ceil(wait)}`)
  // The rest of a body that nobody will read must not be taken for the next request.
  if (problem.type === 'too-large') void reply.header('connection', 'close')
  const body = problemJson(problem, request.id)
  return reply
    .code(body.status)
    .type('application/problem+json')
    .send(Buffer.from(JSON.stringify(body)))
}

/** Fastify's own errors carry a status; nothing of their text is shown, because some quote the request. */
function problemOf(error: unknown): Problem {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined
  if (error instanceof Problem || typeof status !== 'number' || status >= 500) return toProblem(error)
  if (status === 413) return new Problem('too-large', undefined, { cause: error })
  if (status === 414) return new Problem('not-found', undefined, { cause: error })
  if (status === 415) return new Problem('unsupported-media-type', undefined, { cause: error })
  return new Problem('invalid-input', 'The request is not valid HTTP for this server', { cause: error })
}

/**
 * The last word on a connection whose bytes never became a request: a header block that is too large, a timeout,
 * not HTTP at all. There is no request object, so the answer is written by hand.
 */
export function answerBrokenConnection(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const { status = 400, problem } = brokenAs(error.code)
  const { headers, text } = byHand(status, problem)
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head.join('')}\r\n${text}`, () => socket.destroy())
}

/** `Expect` with anything but 100-continue (RFC 9110 §10.1.1). Node would answer without a body or our headers. */
export function answerExpectation(_request: IncomingMessage, response: ServerResponse): void {
  const { headers, text } = byHand(417, new Problem('invalid-input', 'This server meets no such expectation'))
  response.writeHead(417, headers).end(text)
}

/** A problem whose status is not in our list keeps its type and says the true status (RFC 9457 §3.1.2). */
function byHand(status: number, problem: Problem) {
  const requestId = newId('req')
  const text = JSON.stringify({ ...problemJson(problem, requestId), status })
  const headers = {
    ...securityHeaders,
    'x-request-id': requestId,
    'content-type': 'application/problem+json',
    'content-length': String(Buffer.byteLength(text)),
    connection: 'close',
  }
  return { headers, text }
}

function brokenAs(code: string | undefined): { status?: number; problem: Problem } {
  if (code === 'HPE_HEADER_OVERFLOW')
    return { status: 431, problem: new Problem('too-large', 'The header fields are larger than the limit') }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return { status: 408, problem: new Problem('invalid-input', 'The request did not arrive in time') }
  return { problem: new Problem('invalid-input', 'The bytes received are not an HTTP request') }
}
