import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeLog } from './log.ts'
import { makeRedactor } from './redact.ts'

const canary = 'kept-value-4711-x'

/** The lines that a log with these fields writes. */
function written(fields: object): string {
  const redactor = makeRedactor()
  redactor.add('s', canary)
  let text = ''
  const write = (line: string) => {
    text += line
  }
  makeLog({ level: 'trace', redact: redactor.redact, write }).error(fields, 'a call failed')
  return text
}

function withStack(): Error {
  const error = new Error('failed')
  error.stack = `Error: failed\n    at connect (https://host/${canary}:1:1)`
  return error
}

const thrown: Readonly<Record<string, unknown>> = {
  'its message': new Error(`said ${canary}`),
  'its stack': withStack(),
  'the cause of its cause': new Error('a', { cause: new Error('b', { cause: new Error(canary) }) }),
  'what a driver hangs on it': Object.assign(new Error('duplicate key'), {
    detail: `Key (name)=(${canary})`,
    query: canary,
  }),
  'several at once': new AggregateError([new Error(canary)], canary),
  'its name': Object.assign(new Error('x'), { name: canary, code: canary }),
  'a text that was thrown': `bare ${canary}`,
  'an object that was thrown': { deep: [{ [canary]: canary }] },
  'a cause that is no error': new Error('x', { cause: canary }),
}
for (const [what, err] of Object.entries(thrown))
  test(`a known secret in ${what} is in no line of the log (SEC-ENC-10, claims: D21 D22)`, () => {
    const text = written({ err, requestId: 'req_1' })

    assert.ok(text.includes('"requestId":"req_1"'))
    assert.ok(!text.includes(canary), text)
  })

test('an error is a line with its message, stack and causes, and one line whatever its text (AUD-6)', () => {
  const nasty =
    'a\r\nb\u2028c\u2029d\u0085e\u001b[31mred\u009b31m\u202e\n— atlas.example/log AAAA\n{"level":60,"msg":"forged"}'
  const text = written({ err: new Error(nasty, { cause: new Error(nasty) }), name: nasty, [nasty]: nasty })

  assert.deepEqual(
    [text.split(/[\r\n\u0085\u2028\u2029]/).length, text.endsWith('}\n')],
    [2, true],
    'one line and its end',
  )
  assert.match(text, /^[\x20-\x7e—\n]*$/)
  const { level, err } = JSON.parse(text) as { level: number; err: { message: string; stack: string } }
  assert.deepEqual([level, err.message.startsWith(nasty)], [50, true])
  assert.ok(err.stack.includes(`caused by: Error: ${nasty}`))
})
