import assert from 'node:assert/strict'
import { testOnEach, testRootKey } from '../../testing/databases.ts'
import { openLog } from './log.ts'
import { auditMigrations } from './migrations.ts'

const principal = (id: string, name: string) => ({ id, kind: 'user', name })

testOnEach(
  'erasing takes the details in which a text stands as a word, and no word of ours erases everything (AUD-5)',
  auditMigrations,
  async (database) => {
    const log = await openLog({ database, rootKey: testRootKey, now: () => new Date() })
    const say = (note: string) =>
      log.append({
        code: 'action.started',
        principal: principal('usr_admin', 'Ada'),
        detail: { note, remote: '192.0.2.7' },
      })
    await log.append({ code: 'login.succeeded', principal: principal('usr_gone', 'Anna Berg'), detail: { a: 1 } })
    for (const note of ['made the user Anna', 'ANNA@example.org', 'Annabel is somebody else', 'nothing', 'a.berg'])
      await say(note)
    const notes = async () => {
      const { items } = await log.search({ limit: 50 } as Parameters<typeof log.search>[0])
      return items
        .map(({ detail }) => (detail as { note?: string } | undefined)?.note)
        .filter((note) => note !== undefined)
        .reverse()
    }

    const { details } = await log.forget('usr_gone', ['anna', 'note', 'remote', 'detail', 'name'])

    assert.equal(details, 2)
    assert.deepEqual(await notes(), ['Annabel is somebody else', 'nothing', 'a.berg'])
    assert.equal((await log.verify()).ok, true)
    await log.close()
  },
)
