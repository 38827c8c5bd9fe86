import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { freshPostgresUrl } from '../../testing/databases.ts'
import { holdFolder, holdPostgres, InUse } from './presence.ts'

const holder = `
  import { holdFolder } from '${new URL('./presence.ts', import.meta.url)}'
  holdFolder(process.argv[1])
  process.stdout.write('held')
  setInterval(() => {}, 1000)
`

test('a second process is refused while the first lives, and served after it was killed', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-alone-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'lock')
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', holder, path])
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')

  assert.throws(() => holdFolder(path), InUse)
  child.kill('SIGKILL')
  await once(child, 'close')
  const held = holdFolder(path)
  assert.throws(() => holdFolder(path), InUse)
  held.release()
  holdFolder(path).release()
})

test('on PostgreSQL whoever wants to be alone is refused beside another, and lets nobody in until it is done', async (t) => {
  const url = await freshPostgresUrl(t)
  const share = () => holdPostgres({ url, mode: 'shared' })
  const entered: string[] = []
  const [first, second] = await Promise.all([share(), share()])
  t.after(() => first.release())
  await assert.rejects(
    first.alone(async () => entered.push('beside another')),
    InUse,
  )
  // Refusing has cost nothing: both still hold it, and nobody gets it alone.
  await assert.rejects(holdPostgres({ url, mode: 'exclusive' }), InUse)
  await second.release()

  const answer = await untilAlone(first, async (isStillAlone) => {
    await assert.rejects(share(), InUse)
    await assert.rejects(holdPostgres({ url, mode: 'exclusive' }), InUse)
    assert.equal(await isStillAlone(), true)
    return 'done'
  })

  assert.deepEqual([entered, answer], [[], 'done'])
  const third = await share()
  await assert.rejects(
    first.alone(async () => {}),
    InUse,
  )
  await third.release()
})

test('on PostgreSQL a process whose session was ended knows that it is not alone any more', async (t) => {
  const url = await freshPostgresUrl(t)
  const held = await holdPostgres({ url, mode: 'shared' })
  t.after(() => held.release())
  const answers: boolean[] = []
  await held.alone(async (isStillAlone) => {
    answers.push(await isStillAlone())
    const administrator = new pg.Client({ connectionString: url })
    await administrator.connect()
    await administrator.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()',
    )
    await administrator.end()
    answers.push(await isStillAlone())
  })
  assert.deepEqual(answers, [true, false])
})

type Held = Awaited<ReturnType<typeof holdPostgres>>

/** The session of whoever has just let go ends a moment later. */
async function untilAlone(held: Held, run: (isStillAlone: () => Promise<boolean>) => Promise<string>) {
  for (let tries = 0; ; tries++)
    try {
      return await held.alone(run)
    } catch (error) {
      if (!(error instanceof InUse) || tries === 100) throw error
      await sleep(50)
    }
}
