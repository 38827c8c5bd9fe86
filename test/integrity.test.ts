import assert from 'node:assert/strict'
import { sql } from 'kysely'
import { migrations } from '../src/app.ts'
import { testOnEach } from '../src/testing/databases.ts'
import { eventually } from './e2e/steps.ts'
import { startInProcess, type World } from './in-process.ts'

// SEC-ENC-1 as callers, auditors and operators see it: what somebody with the database did to a secret, on the whole program.

type Change = (secrets: { a: string; b: string; owned: string }) => ReturnType<typeof sql>
const from = (from: string, fromVersion: number, to: string, toVersion: number) => sql`
  update secret_version set
    wrapped = (select wrapped from secret_version where secret_id = ${from} and version = ${fromVersion}),
    box = (select box from secret_version where secret_id = ${from} and version = ${fromVersion})
  where secret_id = ${to} and version = ${toVersion}`
const changes: Readonly<Record<string, Change>> = {
  "another secret's value of the same owner": ({ a, b }) => from(b, 1, a, 2),
  "another owner's value": ({ a, owned }) => from(owned, 1, a, 2),
  'its older version as the newer one': ({ a }) => from(a, 1, a, 2),
}

/** The secrets that the log says did not open, the latest first. */
async function recorded({ app }: World) {
  const { items } = await app.audit.search({ code: 'vault.integrity-failed' })
  return items.map(({ resource }) => resource?.id)
}

/** Figures are made anew every few seconds. */
const counted = (world: World, wanted: number) =>
  eventually(async () => {
    const { text } = await world.ask('GET', '/metrics', { token: undefined })
    return text.includes(`\natlas_vault_integrity_failures_total ${wanted}\n`) || undefined
  })

testOnEach(
  'a secret that holds what belongs elsewhere is answered with `integrity`, recorded and counted (SEC-ENC-1, claims: A13)',
  migrations,
  async (database) => {
    const world = await startInProcess(database)
    try {
      const { api, ask } = world
      const put = async (name: string) =>
        (await api<{ id: string }>('POST', '/secrets', { name, value: `${name}-value` })).id
      const [a, b] = [await put('first'), await put('second')]
      await api('POST', `/secrets/${a}/versions`, { value: 'newer-value' })
      const { id: connection } = await api<{ id: string }>('POST', '/connections', {
        connector: 'netbox',
        name: 'lab',
        config: { url: 'https://netbox.example.org' },
        credential: { token: '0123456789abcdef0123456789abcdef01234567' },
        schedule: null,
      })
      const { rows } = await sql<{ id: string }>`select id from secret where owner = ${connection}`.execute(database.db)
      const owned = rows[0]?.id ?? ''
      // An administrator reveals with somebody else's yes only; the policy of the test is not what is tested.
      const reveal = () =>
        world.app.vault.reveal(a).then(
          () => 'opened',
          (error: { type?: string }) => error.type,
        )
      assert.deepEqual([await reveal(), await recorded(world)], ['opened', []])
      await counted(world, 0)

      let expected = 0
      for (const [what, change] of Object.entries(changes)) {
        await sql`create table kept as select * from secret_version`.execute(database.db)
        await change({ a, b, owned }).execute(database.db)

        assert.equal(await reveal(), 'integrity', what)

        expected += 1
        await sql`delete from secret_version`.execute(database.db)
        await sql`insert into secret_version select * from kept`.execute(database.db)
        await sql`drop table kept`.execute(database.db)
        assert.equal((await recorded(world)).length, expected, what)
      }

      // A credential that was exchanged is not sent anywhere: the call ends before it.
      await from(a, 2, owned, 1).execute(database.db)
      const check = await ask('POST', `/api/v1/connections/${connection}/check`, { body: {} })
      const { problem } = JSON.parse(check.text) as { problem?: { type: string } }
      assert.equal(problem?.type, 'integrity', check.text)
      assert.deepEqual(await recorded(world), [owned, ...Array(expected).fill(a)])
      await counted(world, expected + 1)
      assert.equal(await reveal(), 'opened')
      assert.doesNotMatch(check.text + world.lines.join(''), /(first|second|newer)-value|89abcdef0123/)
    } finally {
      await world.stop()
    }
  },
)
