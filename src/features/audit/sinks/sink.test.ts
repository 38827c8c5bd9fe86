import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Problem } from '../../../core/problem.ts'
import { sinkProblem } from './sink.ts'

test('whatever goes wrong is told as a problem that names no host, address or secret', () => {
  const coded = (code: string, message = 'planted 203.0.113.7:443') => Object.assign(new Error(message), { code })
  const cases: [error: unknown, type: string, says: RegExp][] = [
    [coded('ECONNREFUSED'), 'upstream-unreachable', /refused the network connection/],
    [coded('ENOTFOUND'), 'upstream-unreachable', /does not resolve/],
    [coded('ECONNRESET'), 'upstream-unreachable', /broke the network connection/],
    [coded('ERR_TLS_CERT_ALTNAME_INVALID'), 'upstream-untrusted', /another host name/],
    [coded('CERT_HAS_EXPIRED'), 'upstream-untrusted', /has expired/],
    [new DOMException('planted', 'TimeoutError'), 'upstream-timeout', /too long/],
    [new DOMException('planted', 'AbortError'), 'upstream-timeout', /too long/],
    [coded('ERR_INVALID_URL'), 'internal', /^Delivering failed unexpectedly \(Error ERR_INVALID_URL\)$/],
    [coded('planted: a code that is none'), 'internal', /^Delivering failed unexpectedly \(Error\)$/],
    [new TypeError('planted'), 'internal', /^Delivering failed unexpectedly \(TypeError\)$/],
    [new Problem('gone', 'The receiver answered 410'), 'gone', /410/],
  ]
  for (const [error, type, says] of cases) {
    const problem = sinkProblem(error)
    assert.equal(problem.type, type)
    assert.match(problem.message, says)
    assert.equal(
      /planted/.test(JSON.stringify(problem) + problem.stack + String(problem.cause ?? '')),
      false,
      String(says),
    )
  }
})
