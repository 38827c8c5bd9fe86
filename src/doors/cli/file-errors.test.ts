import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { test } from 'node:test'
import { explainFile } from './file-errors.ts'

const failureOf = (run: () => unknown): unknown => {
  try {
    run()
  } catch (error) {
    return error
  }
  return undefined
}

test('a file that cannot be used is named, with what is wrong and no stack', () => {
  assert.equal(
    explainFile(failureOf(() => readFileSync('/nowhere/x'))),
    '/nowhere/x does not exist, or its folder does not (ENOENT)',
  )
  assert.equal(
    explainFile(failureOf(() => mkdirSync('/nowhere/x'))),
    '/nowhere/x does not exist, or its folder does not (ENOENT)',
  )
  assert.equal(explainFile(failureOf(() => readFileSync('/'))), 'The file is a folder; name a file (EISDIR)')
})

test('other failures are not taken for one of a file', async () => {
  const refused = await new Promise((resolve) => connect(1, '127.0.0.1').once('error', resolve))
  assert.deepEqual([refused, new Error('no'), 'text', undefined].map(explainFile), [
    undefined,
    undefined,
    undefined,
    undefined,
  ])
})
